"""What people should know of how a dataset's pictures are shown: tiles and the boxes they cut, masks, ranges."""

from __future__ import annotations

from raytune_planes.datasets.info import Info

MASKS = {
    "rectangle": "masks are the labels' boxes, filled, and no outlines of the objects",
    "ellipse": "masks are ellipses inscribed in the labels' boxes, and no outlines of the objects",
}


def warnings_of(info: Info) -> list[str]:
    """A sentence on each."""
    notes = []
    if info.tile:
        share = f", neighbours sharing {info.tile_overlap:.0%} of their side" if info.tile_overlap else ""
        cut = f"{info.train_boxes_cut / info.train_boxes:.0%}" if info.train_boxes else "0%"
        notes.append(
            f"scenes are cut into tiles of {info.tile} px{share}: {info.train_boxes_cut:,} of {info.train_boxes:,} "
            f"training boxes ({cut}) are cut in every tile"
        )
    if info.masks_from:
        notes.append(MASKS[info.masks_from])
    if info.values is not None:
        low, high = info.values
        notes.append(f"pictures with more than 8 bits: {low:g} is shown as black and {high:g} as white, in all of them")
    return notes
