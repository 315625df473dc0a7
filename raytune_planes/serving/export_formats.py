"""The kinds of files that a model is exported as: how each is written, and how it is run elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from raytune_planes.errors import UserError

ABOUT = "about.json"
"""Name under which a file holds what is said about it."""
INPUT = "pixels"

Run = Callable[[np.ndarray], Sequence[np.ndarray]]
"""From uint8 [N, 3, S, S] to the outputs in their order."""


class Format(NamedTuple):
    """A kind of file: how it is written, and how it is run by what would run it elsewhere."""

    write: Callable[[nn.Module, Tensor, Sequence[str], str, Path], None]
    """Of the model, example pictures, the names of its outputs and what is said about it."""
    read: Callable[[Path], Run]
    needs: Sequence[str] = ()
    """Packages of the extra ``export``."""


def needed(kind: str) -> None:
    """Raises UserError: packages that this format needs are not installed."""
    if missing := [name for name in FORMATS[kind].needs if find_spec(name) is None]:
        raise UserError(
            f"{kind} needs {', '.join(missing)}: install the extra 'export' "
            "(python3 -m uv sync --extra export, or pip install 'raytune-planes[export]')"
        )


def _write_onnx(answers: nn.Module, example: Tensor, names: Sequence[str], about: str, path: Path) -> None:
    import onnx

    program = torch.onnx.export(
        answers,
        (example,),
        input_names=[INPUT],
        output_names=list(names),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    assert program is not None, "the exporter of graphs returns what it made"
    program.save(path)
    whole = onnx.load(path)
    whole.metadata_props.add(key=ABOUT, value=about)
    onnx.checker.check_model(whole)
    onnx.save(whole, path)


def _read_onnx(path: Path) -> Run:
    opened = opened_onnx(path)
    assert opened is not None, "it was written by us"
    return opened.run


class Opened(NamedTuple):
    """A file that ONNX Runtime runs."""

    run: Run
    said: Mapping[str, str]
    """Its metadata."""
    int8: bool
    """Whether it computes with 8-bit integers."""


def opened_onnx(path: Path, threads: int | None = None) -> Opened | None:
    """A file, ready to run on the CPU; None where ONNX Runtime cannot read it.

    Args:
        threads: That it computes with; as many as the machine has cores when None.
    """
    needed("onnx")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
        # Threads that wait in a busy loop take the processors from what decodes the next pictures.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    content = path.read_bytes()
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception:  # its own kinds of errors, of files of any content
        return None
    return Opened(
        lambda pixels_NCHW: session.run(None, {INPUT: pixels_NCHW}),
        session.get_modelmeta().custom_metadata_map,
        b"QuantizeLinear" in content,
    )


def say_more(path: Path, more: Mapping[str, Any]) -> None:
    """Add ``more`` to what an ONNX file says about itself in ``ABOUT``."""
    import onnx

    written = onnx.load(path)
    (about,) = [each for each in written.metadata_props if each.key == ABOUT]
    about.value = json.dumps({**json.loads(about.value), **more})
    onnx.save(written, path)


def metadata_kept(whole: Path, out: Path) -> None:
    """Give ``out`` what ``whole`` says about itself: quantising drops it."""
    import onnx

    written = onnx.load(out)
    del written.metadata_props[:]
    written.metadata_props.extend(onnx.load(whole).metadata_props)
    onnx.save(written, out)


def _write_program(answers: nn.Module, example: Tensor, names: Sequence[str], about: str, path: Path) -> None:
    program = torch.export.export(answers, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files={ABOUT: about})


def _read_program(path: Path) -> Run:
    with path.open("rb") as file:
        return _tensors(torch.export.load(file).module())


def _write_script(answers: nn.Module, example: Tensor, names: Sequence[str], about: str, path: Path) -> None:
    with torch.no_grad():
        traced = torch.jit.trace(answers, (example,), check_trace=False)
    torch.jit.save(traced, path, _extra_files={ABOUT: about})


def _read_script(path: Path) -> Run:
    return _tensors(torch.jit.load(path))


def _tensors(module: Callable[[Tensor], Sequence[Tensor]]) -> Run:
    @torch.no_grad()
    def run(pixels_NCHW: np.ndarray) -> Sequence[np.ndarray]:
        return [each.numpy() for each in module(torch.from_numpy(pixels_NCHW))]

    return run


FORMATS: Mapping[str, Format] = {
    "onnx": Format(_write_onnx, _read_onnx, ("onnx", "onnxscript", "onnxruntime")),
    "torch.export": Format(_write_program, _read_program),
    "torchscript": Format(_write_script, _read_script),
}
