"""What earlier studies say about a new one: which of them resemble it, and which configurations it should try first."""

from __future__ import annotations

from raytune_planes.learning.find import PACKAGED, Found, collected, earlier_studies
from raytune_planes.learning.learn import Earlier, Present, learn

__all__ = ["PACKAGED", "Earlier", "Found", "Present", "collected", "earlier_studies", "learn"]
