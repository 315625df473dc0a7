"""The sentences that describe each class, and the one vector for several of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from raytune_planes.datasets.base import Info
from raytune_planes.errors import UserError, did_you_mean, listed
from raytune_planes.paths import regular

TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "photo": (
        "a photo of a {class}",
        "a photo of a {class}, a type of aircraft",
        "a {class} seen from the side",
        "a {class} on the runway",
        "a {class} in flight",
        "a blurred photo of a {class}",
        "a close photo of a {class}",
    ),
    "overhead": (
        "a satellite image of {class}",
        "an aerial photo of {class}",
        "{class} seen from above",
        "{class} at an airport, from above",
        "a small, blurred satellite image of {class}",
        "a cropped satellite image of {class}",
    ),
}
"""Packaged sets for ``text.templates``."""

CLASS = "{class}"
SUFFIX = ".txt"
MOST = 200
"""Sentences of a file: each is encoded for every class."""


def sentences(info: Info, prompt: str, templates: str) -> tuple[tuple[str, ...], ...]:
    """For each class of a dataset its sentences, equally many for each.

    ``prompt`` is the dataset's own sentence with {class}, ``templates`` the setting ``text.templates``. The first that
    is not empty counts; without either, each class has the one sentence of its reader.

    Raises:
        UserError: there are no such templates, or their file is faulty.
    """
    if not prompt and not templates:
        return tuple((sentence,) for sentence in info.prompts)
    patterns = (prompt,) if prompt else read_templates(templates)
    return tuple(tuple(p.replace(CLASS, name.replace("_", " ")) for p in patterns) for name in info.classes)


def ensemble(row_KTW: Tensor) -> Tensor:
    """The unit vector [K, W] nearest to the T unit vectors of each class: their mean, made one long.

    An average of embeddings, not of probabilities: a class has one vector however many sentences it has (Radford et
    al. 2021, section 3.1.4). A single sentence's vector stays as it is.
    """
    return row_KTW[:, 0] if row_KTW.shape[1] == 1 else F.normalize(row_KTW.mean(1), dim=1)


def read_templates(named: str) -> tuple[str, ...]:
    """The sentences of a packaged set, or of a file: one a line, {class} in each, # before a remark.

    Raises:
        UserError: there is no such set or file, or a line does not say where the class goes.
    """
    if named in TEMPLATES:
        return TEMPLATES[named]
    if not named.endswith(SUFFIX):
        raise UserError(
            f"text.templates = '{named}': no templates of that name{did_you_mean(named, TEMPLATES)} (there are: "
            f"{', '.join(TEMPLATES)}). Or give a file that ends with {SUFFIX}, one sentence with {CLASS} a line"
        )
    lines = [(n, line.strip()) for n, line in enumerate(_text(named).splitlines(), 1)]
    templates = [(n, line) for n, line in lines if line and not line.startswith("#")]
    faults = [
        f"line {n}: '{line}' does not say where the class goes: {CLASS}" for n, line in templates if CLASS not in line
    ]
    if not templates:
        faults.append(f"no sentence; write one a line, with {CLASS} in it")
    if len(templates) > MOST:
        faults.append(f"{len(templates)} sentences; {MOST} are the most")
    if faults:
        raise listed(faults, f"text.templates: {named}")
    return tuple(dict.fromkeys(line for _, line in templates))


def _text(named: str) -> str:
    try:
        return regular(Path(named).expanduser()).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"text.templates = '{named}' cannot be read ({getattr(error, 'strerror', None) or 'no UTF-8 text'}); give "
            f"a file that every host sees, or one of {', '.join(TEMPLATES)}"
        ) from None


def unique(groups: Sequence[Sequence[str]]) -> tuple[list[str], list[list[int]]]:
    """The different sentences of all classes, and where each class's are among them: equal ones are encoded once."""
    distinct = list(dict.fromkeys(sentence for group in groups for sentence in group))
    at = {sentence: place for place, sentence in enumerate(distinct)}
    return distinct, [[at[sentence] for sentence in group] for group in groups]
