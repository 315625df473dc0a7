"""Whether the encoder is compiled: when it is asked for, or when what is left of the training repays it."""

from __future__ import annotations

from torch import nn

COST_S = 90.0
"""Of compiling an encoder for the datasets' sizes, in training and in evaluation. Assumed, on the high side, so that
``auto`` compiles rather too late. No GPU was at hand; ``tests/gpu/run`` measures it, and says what to set here."""
SAVED = 0.15
"""Of the time of an epoch, by a compiled encoder. Assumed likewise, on the low side: less than the encoder's own gain,
because heads, losses, augmentation and the optimiser are not compiled."""


class Compiling:
    """``no`` leaves the encoder alone, ``yes`` compiles it before the first step, ``auto`` when it repays.

    Compiled by shapes as they come, in this process; torch keeps what it compiled on disk, so later trials of equal
    shapes begin sooner.
    """

    def __init__(self, encoder: nn.Module, setting: str, device: str) -> None:
        self._encoder, self._setting, self._device = encoder, setting, device
        self.compiled = False
        if setting == "yes":
            self._compile()

    def after_epoch(self, seconds: float, epochs_left: int) -> None:
        """Decide anew: an epoch took ``seconds``, and so many are left."""
        if self._setting == "auto" and self._device == "cuda" and not self.compiled and repays(seconds, epochs_left):
            self._compile()

    def _compile(self) -> None:
        self._encoder.compile()
        self.compiled = True


def repays(seconds: float, epochs_left: int) -> bool:
    """Whether compiling saves more of ``epochs_left`` epochs of ``seconds`` each than it costs."""
    return SAVED * seconds * epochs_left > COST_S
