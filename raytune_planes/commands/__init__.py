"""The verbs of the command line, one file each. Importing them is cheap; each imports what it needs when it runs."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from raytune_planes.commands import (
    augment,
    best,
    check,
    compare,
    data,
    ensemble,
    export,
    note,
    plugins,
    predict,
    prune,
    report,
    serve,
    settings,
    spaces,
    studies,
    sync,
    synth,
    train,
    tune,
    ui,
)

VERBS: Mapping[str, ModuleType] = {
    "tune": tune,
    "best": best,
    "studies": studies,
    "note": note,
    "report": report,
    "compare": compare,
    "ui": ui,
    "train": train,
    "predict": predict,
    "ensemble": ensemble,
    "export": export,
    "serve": serve,
    "check": check,
    "spaces": spaces,
    "settings": settings,
    "data": data,
    "augment": augment,
    "sync": sync,
    "prune": prune,
    "synth": synth,
    "plugins": plugins,
}
