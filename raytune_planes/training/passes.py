"""How many pictures evaluation looks at in one pass of the model."""

from __future__ import annotations

EVAL_BATCH = 128
"""Of pictures of up to ``EVAL_SIDE`` pixels."""
EVAL_SIDE = 128


def eval_batch(side: int) -> int:
    """Pictures of ``side`` pixels in one pass: fewer of larger ones, as memory grows with their area. The same wherever
    pictures are evaluated, because sums of floats depend on how they are cut."""
    return max(8, min(EVAL_BATCH, EVAL_BATCH * EVAL_SIDE**2 // side**2))
