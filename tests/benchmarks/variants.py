"""The configurations that ``gains`` compares with the defaults, by group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES = ("planesnet", "hrplanes", "fgvc")

PRETRAIN = {
    "stages.pretrain.budget.epochs": 1,
    "stages.pretrain.losses.reconstruction.weight": 1.0,
    **{f"stages.pretrain.losses.{term}.weight": 0.0 for term in ("classification", "segmentation", "contrastive")},
}
ALONE = {
    "stages.fgvc.budget.epochs": 1,
    **{f"stages.fgvc.datasets.{name}.share": 0.0 for name in NAMES if name != "fgvc"},
}

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "defaults": {},
    "heads: linear": {"datasets.fgvc.head.kind": "linear"},
    "heads: attention": {"datasets.fgvc.head.kind": "attention"},
    "heads: cosine, margin 0.1": {"datasets.fgvc.head.kind": "cosine"},
    "heads: hierarchy 0.5": {"losses.classification.hierarchy": 0.5},
    "text: templates for photos": {"text.templates": "photo"},
    "text: templates from above": {"text.templates": "overhead"},
    "augment: RandAugment of 2": {f"datasets.{name}.augment.policy.kind": "randaugment" for name in NAMES},
    "augment: MixUp 0.2 on fine-grained": {"datasets.fgvc.augment.mixup": 0.2},
    "augment: CutMix 1 on fine-grained": {"datasets.fgvc.augment.cutmix": 1.0},
    "optim: SGD, rate 0.02": {"optim.kind": "sgd", "optim.lr": 0.02},
    "optim: Lion, rate 0.0004": {"optim.kind": "lion", "optim.lr": 0.0004},
    "optim: averaged weights, 0.98": {"optim.ema": 0.98},
    "optim: label smoothing 0.1": {"losses.classification.label_smoothing": 0.1},
    "surgery: none, 3 batches a move": {"optim.accumulate": 3},
    "surgery: PCGrad, 3 batches a move": {"optim.accumulate": 3, "balancing.surgery": "pcgrad"},
    "surgery: CAGrad, 3 batches a move": {"optim.accumulate": 3, "balancing.surgery": "cagrad"},
    "backbones: ResNet-18, not pretrained": {"model.backbone.kind": "resnet18"},
    "backbones: EfficientNet-Lite0, pretrained": {
        "model.backbone.kind": "efficientnet_lite0",
        "model.backbone.weights": "pretrained",
    },
    "stages: pretrain 1, together 3": {**PRETRAIN, "plan": "pretrain, together", "stages.together.budget.epochs": 3},
    "stages: together 3, fine-grained 1": {**ALONE, "plan": "together, fgvc", "stages.together.budget.epochs": 3},
    "stages: pretrain 1, together 2, fine-grained 1": {
        **PRETRAIN,
        **ALONE,
        "plan": "pretrain, together, fgvc",
        "stages.together.budget.epochs": 2,
    },
    "tasks: reconstruction 0.5": {"losses.reconstruction.weight": 0.5},
    "tasks: detection 0.5": {"losses.detection.weight": 0.5},
}
