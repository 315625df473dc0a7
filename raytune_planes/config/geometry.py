"""Which settings on the shape of a dataset's pictures exclude each other."""

from __future__ import annotations

from raytune_planes.config.dataset import Dataset


def check_geometry(name: str, dataset: Dataset) -> None:
    """Raises ValueError: settings of the dataset ``name`` contradict each other."""
    own, augment = f"datasets.{name}.", dataset.augment
    if dataset.decoded_side < dataset.image_size:
        raise ValueError(
            f"{own}decoded_size = {dataset.decoded_size} is smaller than {own}image_size = {dataset.image_size}, so "
            f"pictures would lose detail and be enlarged again; give at least {dataset.image_size}, or leave it out"
        )
    if augment.crop_min > augment.crop_max:
        raise ValueError(
            f"{own}augment.crop_min = {augment.crop_min:g} is larger than {own}augment.crop_max = "
            f"{augment.crop_max:g}; exchange them"
        )
    if augment.turns and not augment.flips:
        raise ValueError(f"{own}augment.turns is true and {own}augment.flips false; set both, or leave out turns")
    if augment.turns and dataset.view_of(name) == "side":
        raise ValueError(
            f"{own}augment.turns turns pictures upside down, and they were taken from the side; leave it out, or set "
            f"{own}view=overhead if they were taken from above"
        )
