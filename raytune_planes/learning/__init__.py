"""What earlier studies say about a new one: which of them resemble it, and which configurations it should try first."""

from __future__ import annotations

from raytune_planes.learning.find import Found, earlier_studies
from raytune_planes.learning.learn import Earlier, Present, learn

__all__ = ["Earlier", "Found", "Present", "earlier_studies", "learn"]
