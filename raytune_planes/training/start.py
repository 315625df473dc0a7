"""Weights that training begins with, and parts of the model that keep them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from raytune_planes.config import FREEZABLE
from raytune_planes.errors import UserError
from raytune_planes.network import Network
from raytune_planes.training import checkpoint
from raytune_planes.training.ended import refuse_ended

SHARED: Mapping[str, tuple[str, ...]] = {
    "backbone": ("backbone",),
    "dit": ("refinement", "datasets", "norm"),
    "projection": ("projection",),
}
"""What ``freeze`` may name -> attributes of the shared encoder; the tasks' parts have the names that their tasks say.
The text encoder has a setting of its own, ``text.freeze``."""


def freeze(model: Network, parts: tuple[str, ...]) -> list[nn.Module]:
    """Let ``parts`` (names of ``config.FREEZABLE``) learn nothing; returns their modules."""
    frozen = [getattr(model, name) for part in parts for name in attributes(model)[part]]
    for each in frozen:
        each.requires_grad_(False)
    return [each for each in frozen if isinstance(each, nn.Module)]


def attributes(model: Network) -> dict[str, list[str]]:
    """What ``freeze`` may name -> attributes of ``model``: the shared encoder's, and those of the tasks that it has."""
    names = {part: list(SHARED.get(part, ())) for part in FREEZABLE}
    for name, task in model.tasks.items():
        names[task.task.frozen_name] += model.parts(name)
    return names


def learn(model: Network, frozen: list[nn.Module]) -> None:
    """Put the model into training mode, but for what is frozen.

    Dropout has no use where nothing learns, and statistics that a normalisation collects would keep changing.
    """
    model.train()
    for each in frozen:
        each.eval()


def begin_with(model: Network, path: Path) -> str:
    """Give ``model`` the weights of a checkpoint, where name and shape are equal; says which it took.

    Raises:
        UserError: the file is no checkpoint, or its backbone is not the model's.
    """
    return take(model, weights_of(path), f"start = {path}")


def take(model: Network, theirs: Mapping[str, Tensor], source: str) -> str:
    """Give ``model`` the weights ``theirs``, where name and shape are equal; says which it took.

    What the encoder of one side shares and that of the other does not (``model.sharing``) goes by the names within the
    encoder: every dataset's copy takes the shared weights, and a model of a single dataset takes that dataset's.

    Raises:
        UserError: they have no backbone in common.
    """
    mine = model.state_dict()
    names = {name: _source(name, theirs, list(model.datasets)) for name in mine}
    taken = {name: n for name, n in names.items() if n in theirs and mine[name].shape == theirs[n].shape}
    # The first filters see the image's three channels: they may fit where nothing behind them does.
    if sum(name.startswith(("backbone.", "own.")) and mine[name].ndim > 1 for name in taken) < 2:
        raise UserError(f"{source}: {_no_backbone(theirs)}, or take others")
    model.load_state_dict({name: theirs[n] for name, n in taken.items()}, strict=False)
    fresh = sorted({_part(name) for name in mine.keys() - taken.keys()})
    unused = sorted({_part(name) for name in theirs.keys() - set(taken.values())})
    copied = sorted({f"{_part(name)} from {_part(n)}" for name, n in taken.items() if n != name})
    parts = [f"{len(taken)} of the model's {len(mine)} weights are from {source}"]
    parts += [f"copied to {', '.join(copied)}"] if copied else []
    parts += [f"fresh in {', '.join(fresh)}"] if fresh else []
    parts += [f"unused from {', '.join(unused)}"] if unused else []
    return "; ".join(parts)


def _source(name: str, theirs: Mapping[str, Tensor], datasets: Sequence[str]) -> str:
    """The name among ``theirs`` of what ``name`` begins with."""
    top, _, rest = name.partition(".")
    if name not in theirs and top == "own":
        return f"backbone.{rest.partition('.')[2]}"
    if name not in theirs and top == "backbone" and len(datasets) == 1:
        return f"own.{datasets[0]}.{rest}"
    return name


def _no_backbone(theirs: Mapping[str, Tensor]) -> str:
    if any(name.startswith("own.") for name in theirs) and not any(name.startswith("backbone.") for name in theirs):
        return (
            "each of its datasets has a backbone of its own, and none is shared; set model.sharing=own, or train one "
            "of its datasets alone"
        )
    return (
        "its backbone does not have the names and shapes of this model's; "
        "give model.backbone the values that those weights were trained with"
    )


def weights_of(path: Path) -> dict[str, Tensor]:
    """The weights in a ``best.pt`` or ``last.pt``.

    Raises:
        UserError: the file cannot be read, or holds none.
    """
    try:
        content = checkpoint.load(path)
        refuse_ended(content, path)
    except UserError as error:
        raise UserError(f"start: {error}") from None
    weights = content.get("weights", content.get("model"))
    if not isinstance(weights, dict) or not all(isinstance(w, Tensor) for w in weights.values()):
        raise UserError(f"start: {path} holds no weights of a model; give the path of a best.pt or last.pt")
    return dict(weights)


def _part(name: str) -> str:
    """``heads.fgvc.0.weight`` -> ``heads.fgvc``, ``backbone.stem.weight`` -> ``backbone``."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] in ("heads", "datasets", "adapters", "own") else parts[0]
