"""The configurations that ``gains`` compares with the defaults, by group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "defaults": {},
}
