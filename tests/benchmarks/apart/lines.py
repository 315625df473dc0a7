"""The scripts' side of ``Apart``: reads a call from each line of the input and answers with a line. Python alone."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol


class Rival(Protocol):
    def ask(self) -> tuple[str, Mapping[str, Any]]:
        """A trial's name and settings; a name that was asked before goes on where it stopped."""
        ...

    def report(self, name: str, epoch: int, value: float, final: bool) -> bool:
        """Whether the trial stops."""
        ...

    def tell(self, name: str, epoch: int, value: float, over: bool) -> None:
        """The trial has stopped; ``over``: at its last epoch."""
        ...


def serve(build: Callable[..., Rival]) -> None:
    """Until the input ends. ``build`` gets seed, dimensions ([name, kind, low, high, log] each), first, reduction and
    epochs."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a package prints is no answer
    begin = json.loads(sys.stdin.readline())
    rival = build(*(begin[key] for key in ("seed", "dimensions", "first", "reduction", "epochs")))
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        call = json.loads(line)
        match call.pop("op"):
            case "ask":
                name, drawn = rival.ask()
                answer: dict[str, Any] = {"id": name, "drawn": dict(drawn)}
            case "report":
                answer = {"stop": bool(rival.report(call["id"], call["epoch"], call["value"], call["final"]))}
            case "tell":
                rival.tell(call["id"], call["epoch"], call["value"], call["over"])
                answer = {}
        print(json.dumps(answer), file=answers, flush=True)
