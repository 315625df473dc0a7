"""An answer drawn onto its picture: the mask as a tint, a numbered box around each of its parts, and the words.

A detector's boxes are drawn as well, with their scores, in another colour, and oriented boxes in a third. What the
answer rests on is a drawing of its own.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from raytune_planes.datasets import images
from raytune_planes.datasets.images import Source
from raytune_planes.paths import shortened
from raytune_planes.printing import printable
from raytune_planes.report.regions import heat
from raytune_planes.serving.answers import Answer
from raytune_planes.tracking.files import write_whole

SIDES = (320, 1600)
"""The drawing's longer side lies between these, in pixels: a chip is enlarged, a scene reduced."""
TINT = (213, 94, 0)
"""Vermilion of Okabe & Ito's colours, told apart by the colour-blind, and rare on the ground."""
OPACITY = 0.45
NAME_BYTES = 200
"""Of a drawing's name. Most file systems take 255; a name beside it that is not whole yet has some more."""
FOUND = (86, 180, 233)
"""Sky blue of the same colours, for the detector's boxes: they may differ from the mask's parts."""
TURNED = (240, 228, 66)
"""Yellow of the same colours, for oriented boxes."""


def draw(answer: Answer, source: Source) -> Image.Image:
    """The picture of ``answer`` with what was found in it. Raises UserError when it cannot be decoded."""
    picture, scale = _picture(answer, source)
    if answer.mask is not None:
        picture = _tinted(picture, answer.mask)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    for number, box in enumerate(answer.planes, start=1):
        left, top, right, bottom = (value * scale for value in box)
        pen.rectangle((left, top, right, bottom), outline=TINT, width=2)
        pen.text((left + 3, top), str(number), fill="white", font=font, stroke_width=2, stroke_fill="black")
    for (left, top, right, bottom), score in answer.boxes or ():
        pen.rectangle((left * scale, top * scale, right * scale, bottom * scale), outline=FOUND, width=2)
        at = left * scale + 3, bottom * scale - 18
        pen.text(at, f"{score:.2f}", fill=FOUND, font=font, stroke_width=2, stroke_fill="black")
    for corners, score in answer.oriented or ():
        points = [value * scale for value in corners]
        pen.polygon(points, outline=TURNED, width=2)
        at = points[0] + 3, points[1] - 18
        pen.text(at, f"{score:.2f}", fill=TURNED, font=font, stroke_width=2, stroke_fill="black")
    return _captioned(picture, caption(answer), font)


def draw_regions(answer: Answer, source: Source, map_HW: np.ndarray, explained: str) -> Image.Image:
    """The picture of ``answer`` in grey, and over it in colours what speaks for the class ``explained``, as
    ``serving.regions`` says it.

    Raises UserError when it cannot be decoded.
    """
    picture, _ = _picture(answer, source)
    sized_HW = Image.fromarray(map_HW.astype(np.float32)).resize(picture.size, Image.Resampling.BILINEAR)
    coloured = Image.fromarray(heat(np.asarray(picture), np.asarray(sized_HW)))
    speaks = f"speaks for {printable(explained)}"
    text = f"{answer.dataset}: yellow {speaks} most, orange less" if map_HW.any() else f"no region {speaks}"
    text += " - SYNTHETIC model" if answer.synthetic else ""
    return _captioned(coloured, text, ImageFont.load_default(14))


def save(picture: Image.Image, folder: Path, name: str) -> Path:
    """Write ``picture`` as PNG into ``folder``, whole or not at all, under as much of ``name`` as a file's may hold."""
    kept = io.BytesIO()
    picture.save(kept, "PNG")
    path = folder / f"{shortened(name, NAME_BYTES)}.png"
    write_whole(path, kept.getvalue())
    return path


def caption(answer: Answer) -> str:
    """``"fgvc: Boeing 737-700 0.81"``, or how many planes there are and by what they were counted, and the share of the
    picture under a mask; then whether the model learnt synthetic pictures."""
    count = answer.count
    if count is None:
        label, probability = answer.labels[0]
        text = f"{label} {probability:.2f}"
    else:
        text = f"{count.planes} plane{'s' if count.planes != 1 else ''} by {count.by}"
        text += f", {answer.covered:.1%} of the picture" if answer.mask is not None else ""
    return f"{answer.dataset}: {text}{' - SYNTHETIC model' if answer.synthetic else ''}"


def _picture(answer: Answer, source: Source) -> tuple[Image.Image, float]:
    """The picture at the size of its drawing, and pixels of that for one of the picture."""
    longer = max(answer.width, answer.height)
    scale = min(max(longer, SIDES[0]), SIDES[1]) / longer
    size = max(1, round(answer.width * scale)), max(1, round(answer.height * scale))
    smooth = Image.Resampling.BILINEAR if scale <= 1 else Image.Resampling.NEAREST
    most, values, coarsest = answer.width * answer.height, answer.values, max(1.0, 1 / scale)
    decoded = images.decode(source, coarsest=coarsest, most=most, values=values, shown=answer.bands)
    return decoded.image.resize(size, smooth), scale


def _tinted(picture: Image.Image, mask_HW: np.ndarray) -> Image.Image:
    shown = Image.fromarray((mask_HW > 0.5).astype(np.uint8) * round(255 * OPACITY)).resize(picture.size)
    return Image.composite(Image.new("RGB", picture.size, TINT), picture, shown)


def _captioned(picture: Image.Image, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> Image.Image:
    width, height = max(picture.width, 8 + round(font.getlength(text)) + 8), picture.height + 24
    out = Image.new("RGB", (width, height), "white")
    out.paste(picture, (0, 24))
    ImageDraw.Draw(out).text((8, 3), text, fill="black", font=font)
    return out
