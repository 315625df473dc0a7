"""A GPU that the CPU plays, for tests of what only happens on one: tensors of a device of their own, and what waits.

A tensor of the played card holds a tensor of the CPU and says that it lies on the device ``meta``, of which torch
builds without a GPU allow gradients. Operations compute the real numbers. As on a card, one that takes a tensor of each
device raises; and each that makes the host wait for the card is noted with the place in the package that asked for it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from raytune_planes.training.workers import LocalWorker

CARD = torch.device("meta")
aten = torch.ops.aten

SIZED_BY_VALUES = {
    *("nonzero", "_unique", "_unique2", "unique_dim", "unique_consecutive", "masked_select", "bincount"),
    *("repeat_interleave", "unique_dim_consecutive", "nonzero_static", "_local_scalar_dense", "equal", "is_nonzero"),
    *("linalg_eigh", "histc"),
}
"""Operations that torch's CUDA build ends with a copy to the host."""
BETWEEN = {"_to_copy", "copy_"}
"""Operations that may take tensors of both devices."""


@dataclass(frozen=True)
class Wait:
    """The host waited for the card."""

    operation: str
    place: str
    """``file.py:line function`` in the package that asked for it."""
    in_step: bool
    """Whether it was within a step of training."""


class OnCard(Tensor):
    """A tensor of the played card."""

    held: Tensor
    is_meta = False
    """It holds numbers, so weights of a checkpoint are copied into it."""

    @staticmethod
    def __new__(cls, held: Tensor) -> OnCard:
        made = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=CARD,
            requires_grad=held.requires_grad,
        )
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    def tolist(self) -> Any:
        """Through a copy, which waits; torch's own reads no subclass."""
        return self.cpu().tolist()

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"OnCard({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {}, lambda _: None)


class Card(TorchDispatchMode):
    """While it is entered there is a card; ``waits`` are those that were made since."""

    def __init__(self, lacks: tuple[torch.dtype, ...] = ()) -> None:
        """``lacks``: numbers that the card does not have."""
        super().__init__()
        self.waits: list[Wait] = []
        self._lacks = lacks

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = _computed(func, args, kwargs or {}, self._note)
        for made in _tensors([out]):
            if isinstance(made, OnCard) and made.dtype in self._lacks:
                raise TypeError(f"{func}: the card has no {made.dtype}")
        return out

    @property
    def in_steps(self) -> list[Wait]:
        """The waits within steps of training."""
        return [wait for wait in self.waits if wait.in_step]

    def _note(self, operation: str) -> None:
        frames = [f for f in traceback.extract_stack() if "/raytune_planes/" in f.filename]
        last = frames[-1] if frames else None
        place = f"{last.filename.rpartition('/raytune_planes/')[2]}:{last.lineno} {last.name}" if last else "a test"
        self.waits.append(Wait(operation, place, any(f.name == "_train_step" for f in frames)))


def on_card() -> LocalWorker:
    """The only worker, with the played card as its device."""
    worker = LocalWorker()
    worker.device = CARD
    return worker


def _computed(func: Any, args: Any, kwargs: Mapping[str, Any], note: Callable[[str], None]) -> Any:
    name = func._schema.name.removeprefix("aten::")
    given = _tensors([*args, *kwargs.values()])
    here, there = [t for t in given if not isinstance(t, OnCard)], [t for t in given if isinstance(t, OnCard)]
    asked = kwargs.get("device")
    makes = asked is not None and torch.device(asked).type == CARD.type
    if name in BETWEEN:
        _copied(name, args, kwargs, note)
    elif there and any(t.ndim for t in here):
        if not name.startswith("index"):
            raise RuntimeError(f"{name}: tensors of the CPU and of the card")
        note(f"{name} by indexes on the CPU")
    if there and (name in SIZED_BY_VALUES or _selects(name, args)):
        note(name)
    real = {key: "cpu" if key == "device" and value is not None else value for key, value in kwargs.items()}
    if name == "_to_copy":
        real.pop("pin_memory", None)
    out = func(*tree_map(_held, args), **tree_map(_held, real))
    if name == "_local_scalar_dense" or not (there or makes):
        return out
    if name == "_to_copy" and asked is not None and not makes:
        return out
    if func._schema.is_mutable and args and isinstance(args[0], (OnCard, list, tuple)):
        return args[0] if isinstance(args[0], OnCard) else out
    if name == "copy_":
        return args[0]
    return tree_map(lambda t: OnCard(t) if isinstance(t, Tensor) else t, out)


def _copied(name: str, args: Any, kwargs: Mapping[str, Any], note: Callable[[str], None]) -> None:
    """A copy between the devices waits: always to the host, and from it unless it need not be complete at once."""
    if name == "_to_copy":
        asked = kwargs.get("device")
        to_card = isinstance(args[0], OnCard) if asked is None else torch.device(asked).type == CARD.type
        from_card, free = isinstance(args[0], OnCard), bool(kwargs.get("non_blocking"))
    else:
        to_card, from_card = isinstance(args[0], OnCard), isinstance(args[1], OnCard)
        free = bool(kwargs.get("non_blocking") or (len(args) > 2 and args[2])) or (to_card and args[1].ndim == 0)
    if from_card and not to_card:
        note(f"{name} to the CPU")
    elif to_card and not from_card and not free:
        note(f"{name} from the CPU")


def _selects(name: str, args: Any) -> bool:
    """Whether a mask selects rows: their number decides the shape."""
    if name not in ("index", "index_put_", "index_put", "_index_put_impl_", "_unsafe_index"):
        return False
    return any(t.dtype in (torch.bool, torch.uint8) for t in _tensors(list(args[1])))


def _tensors(values: Any) -> list[Tensor]:
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, (list, tuple)):
        return [tensor for value in values for tensor in _tensors(value)]
    return []


def _held(value: Any) -> Any:
    return value.held if isinstance(value, OnCard) else value
