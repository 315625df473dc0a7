"""The configurations that ``gains`` compares with the defaults, by group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "defaults": {},
    "heads: linear": {"datasets.fgvc.head.kind": "linear"},
    "heads: attention": {"datasets.fgvc.head.kind": "attention"},
    "heads: cosine, margin 0.1": {"datasets.fgvc.head.kind": "cosine"},
    "heads: hierarchy 0.5": {"losses.classification.hierarchy": 0.5},
    "text: templates for photos": {"text.templates": "photo"},
    "text: templates from above": {"text.templates": "overhead"},
    "text: encoder trains": {"text.freeze": False},
}
