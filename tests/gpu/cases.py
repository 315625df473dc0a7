"""Settings that between them use every term, augmentation, optimiser and rule, and some encoders of each kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Settings = Mapping[str, Any]

CASES: Mapping[str, Settings] = {
    "the defaults": {},
    "every term": {
        "losses__detection__weight": 0.5,
        "losses__reconstruction__weight": 0.5,
        "losses__classification__hierarchy": 0.3,
        "losses__classification__label_smoothing": 0.1,
    },
    "blended images": {"datasets__fgvc__augment__mixup": 0.4, "datasets__hrplanes__augment__cutmix": 1.0},
    "crops": {"datasets__fgvc__augment__crop_min": 0.3, "datasets__hrplanes__augment__crop_min": 0.5},
    "filters": {
        "datasets__fgvc__augment__blur": 0.2,
        "datasets__fgvc__augment__morphology": 0.5,
        "datasets__fgvc__augment__erase": 0.2,
        "datasets__fgvc__augment__policy__kind": "randaugment",
    },
    "flips alone": {f"datasets__fgvc__augment__{name}": 0 for name in ("rotate", "scale", "shift")},
    "an encoder's features": {
        "model__backbone__kind": "timm/mobilenetv3_small_050",
        "model__backbone__freeze": True,
        "model__backbone__views": 2,
    },
    "SGD and accumulation": {"optim__kind": "sgd", "optim__accumulate": 2},
    "Lion": {"optim__kind": "lion"},
    "a moving average of losses": {"balancing__rule": "dwa"},
    "learnt balance": {"balancing__rule": "uncertainty"},
}
"""No step of these waits for the card."""
WAITING: Mapping[str, Settings] = {
    "edges": {"datasets__fgvc__augment__edges": 0.5},
    "FAMO": {"balancing__rule": "famo"},
    "gradient surgery": {"balancing__surgery": "pcgrad", "optim__accumulate": 3},
}
"""These read values of the card in a step: how far edges are followed, losses, and angles between gradients."""
ENCODERS: Mapping[str, Settings] = {
    kind: {"model__backbone__kind": kind}
    for kind in ("resnet18", "timm/convnext_atto", "efficientnet_lite0", "timm/vit_tiny_patch16_224")
}
"""A network of convolutions with residual sums, one of depthwise ones, one of those in pairs, and a transformer."""
TOLERANCE = {"crops": 0.05}
"""Of losses, beside ``LOSS``: a CPU resizes crops in bytes and a GPU in floats, so a pixel may differ by 1/255."""
LOSS = 0.01
"""Of losses after eight steps in float32, which are about 1 at chance: sums in another order, and what follows."""
