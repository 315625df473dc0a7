"""The parts of the network that all datasets share, and the encoder of the class prompts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from raytune_planes.config.local_path import LocalPath
from raytune_planes.encoders import known
from raytune_planes.section import Section


class Backbone(Section):
    """The image encoder. No statistics are shared between images or datasets: norms are by group, or fixed."""

    kind: Annotated[str, AfterValidator(known)] = "residual"
    """``residual``: three stages of residual blocks of our own. ``timm/NAME``: any network of timm that gives maps of
    features, convolutional or a transformer; ``resnet18``, ``resnet50``, ``resnet101``, ``resnext50``, ``densenet121``,
    ``mobilenet_v2``, ``efficientnet_lite0``, ``efficientnet_b1``, ``convnext_tiny``, ``swin_t``, ``vit_b_16``,
    ``clip`` and ``dinov2`` are short names of some. Other packages may bring more."""
    width: Annotated[int, Field(ge=8, le=256, multiple_of=8)] = 24
    """Channels of the first map, twice and four times as many in the next two; the others' maps are projected to it."""
    depth: Annotated[int, Field(ge=1, le=8)] = 1
    """Residual blocks in each of the three stages of ``residual`` (strides 2, 4 and 8)."""
    enlarge: Literal[1, 2] = 2
    """How many times as large as ``image_size`` a network of timm with maps at several strides sees the picture: they
    were made for 224 pixels. One with a single grid sees each picture so that its patches lie at stride 8."""
    weights: Annotated[LocalPath, Field(min_length=1)] = "random"
    """``random``, ``pretrained`` (packaged for ``efficientnet_lite0``, else from the hub's cache or the network), or a
    file of the network's weights (.safetensors, .pth), or a folder with model.safetensors."""
    freeze: bool = False
    """Keep the network as it is: only the projections of its maps are trained. Not for ``residual``."""
    views: Annotated[int, Field(ge=0, le=64)] = 0
    """Of a frozen encoder: so many augmented views of each training picture, whose features are computed once, kept in
    the cache beside the decoded pictures, and shared by all trials with the same encoder, size and augmentation. 0 for
    a view of its own in every step, and its features computed afresh."""


class Dit(Section):
    """Transformer blocks over the last grid, conditioned on the dataset by adaptive layer norm (Peebles & Xie 2023)."""

    depth: Annotated[int, Field(ge=0, le=12)] = 1
    """Blocks; 0 leaves the tokens as they are."""
    heads: Annotated[int, Field(ge=1, le=16)] = 4
    """Attention heads; the grid's channels (4 x backbone width) must divide by it."""


class Decoder(Section):
    """The UNet that turns the pyramid into masks."""

    width: Annotated[int, Field(ge=4, le=256, multiple_of=4)] = 16
    """Channels at its finest level; the detector has twice as many."""


class Model(Section):
    """Backbone, refinement and decoder."""

    backbone: Backbone = Backbone()
    sharing: Literal["trunk", "adapters", "stage", "own"] = "trunk"
    """What the datasets share of the image encoder. ``trunk``: all of it. ``adapters``: all of it, and each dataset has
    small residual adapters (Rebuffi et al. 2017) after every stage of ``residual``, or on the maps of another network
    before they are projected; they learn also where the encoder is frozen. ``stage``: all but the last stage. ``own``:
    nothing. Copies begin with equal weights. What follows the encoder is shared but for the heads."""
    dit: Dit = Dit()
    decoder: Decoder = Decoder()


class Text(Section):
    """The encoder of the class prompts."""

    model: LocalPath = "minilm"
    """``minilm`` (packaged, works offline), or any BERT by hub name (``bert-base-uncased``) or folder."""
    templates: LocalPath = ""
    """Sentences for every class, where a dataset has no ``prompt`` of its own; their embeddings are averaged.
    ``photo``, ``overhead``, or a file (.txt, a sentence with {class} a line). Empty for one sentence, the reader's."""
    freeze: bool = True
    """Encode once per study, or train the encoder through the contrastive term, on ``devices.text``: every step then
    encodes all sentences of its dataset (2.6 s for 100 on one core), and checkpoints hold the encoder."""
    lr_factor: Annotated[float, Field(gt=0, le=1)] = 0.01
    """The encoder's learning rate relative to ``optim.lr``, when it trains: a pretrained BERT forgets at high rates."""
