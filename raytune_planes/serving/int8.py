"""An exported ONNX file with 8-bit weights and activations, by ONNX Runtime's static quantisation."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from raytune_planes.errors import UserError, first_line
from raytune_planes.serving.export_formats import INPUT, metadata_kept

BATCH = 8
"""Pictures in one pass of the calibration."""
OPERATORS = ("Conv", "MatMul", "Gemm")
"""What becomes 8-bit: nearly all of the time and all of the large weights. Softmax, norms and the arithmetic of boxes
stay floats; with every operator that ONNX Runtime can quantise a small mask lost more and no time was gained."""


def quantised(whole: Path, out: Path, pixels_NCHW: np.ndarray) -> None:
    """Write ``whole`` with 8-bit integers to ``out``.

    Weights are signed with a scale for each channel; activations are unsigned, with the range that they have on
    ``pixels_NCHW`` (static: it is known before a picture comes). Every network of ours is convolutions and products
    of matrices, to which this applies, so there is no dynamic quantisation.

    Args:
        whole: A file of ``export``, in a folder that goes afterwards: others are written beside it.
        pixels_NCHW: uint8, what the model would see.

    Raises:
        UserError: ONNX Runtime cannot quantise this model.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Pictures(CalibrationDataReader):
        def __init__(self) -> None:
            starts = range(0, len(pixels_NCHW), BATCH)
            self._batches = iter([np.ascontiguousarray(pixels_NCHW[i : i + BATCH]) for i in starts])

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self._batches, None)
            return None if batch is None else {INPUT: batch}

    ready = whole.with_name("ready.onnx")  # and what the library writes beside it
    try:
        with _quiet():
            # Symbolic shapes are left out: they fail on outputs without a known rank, and nothing here needs them.
            quant_pre_process(whole, ready, skip_symbolic_shape=True)
            quantize_static(
                ready,
                out,
                Pictures(),
                per_channel=True,
                op_types_to_quantize=list(OPERATORS),
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        metadata_kept(whole, out)
    except Exception as error:  # the quantiser raises its own kinds
        raise UserError(
            f"this model cannot be written with 8-bit integers: {type(error).__name__}: {first_line(error)}; "
            "leave out --int8"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser advises on the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
