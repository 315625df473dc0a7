"""How training images are changed at random."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from raytune_planes.section import Fraction, Section

OF_STRENGTH = ("rotate", "scale", "shift", "shear", "elastic", "noise")
"""What ``Augment.strength`` multiplies."""


class Policy(Section):
    """Operations that each image draws from a list, as published for photographs: turns, shears, shifts and colours."""

    kind: Literal["none", "randaugment", "autoaugment"] = "none"
    """``randaugment``: ``number`` of 14 operations at one ``magnitude`` (Cubuk et al. 2020).
    ``autoaugment``: one of the 25 pairs that were found on ImageNet, which has no strength (Cubuk et al. 2019)."""
    number: Annotated[int, Field(ge=1, le=4)] = 2
    """Operations one after the other, under ``randaugment``."""
    magnitude: Annotated[float, Field(ge=0, le=30)] = 9.0
    """Their strength, under ``randaugment``, in the paper's units."""
    share: Fraction = 1.0
    """Part of the images that are treated."""


class Augment(Section):
    """What is done to training images, whole batches at a time, image and mask together."""

    flips: bool = True
    """Mirror left to right at random; pictures from above also upside down, and by quarter turns (see ``turns``)."""
    turns: bool | None = None
    """Whether ``flips`` also mirror upside down and turn by quarter turns; None where the dataset's ``view`` is
    overhead. Pictures from the side have an up."""
    crop_min: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Random resized crops (Szegedy et al. 2015): a part of the decoded picture, of at least this share of its area, is
    brought to ``image_size``. 1 for what evaluation sees; usual for photographs: 0.08 to 0.35. Out of a
    ``decoded_size`` above ``image_size`` a crop shows detail that the whole picture cannot."""
    crop_max: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The largest share of the area."""
    crop_ratio: Annotated[float, Field(ge=1, le=4)] = 1.33
    """The longer side of a random crop over its shorter one, at most."""
    strength: Fraction = 1.0
    """Factor on ``rotate``, ``scale``, ``shift``, ``shear``, ``elastic`` and ``noise``: 0 switches all of them off, so
    that one setting decides on them together."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 15.0
    """Rotation by up to this many degrees either way; 0 for none."""
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Zoom by a factor drawn from [1 - scale, 1 + scale]; 0 for none."""
    shift: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Translation by up to this share of the side; 0 for none."""
    color: Fraction = 0.2
    """Strength of random brightness, contrast and saturation; 0 for none."""
    noise: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Standard deviation of Gaussian noise, in units of the full brightness range; 0 for none."""
    erase: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Share of the area blanked by a random rectangle in half of the images; 0 for none."""
    shear: Annotated[float, Field(ge=0, le=45)] = 0.0
    """Slant by up to this many degrees either way; 0 for none."""
    elastic: Annotated[float, Field(ge=0, le=0.1)] = 0.0
    """Elastic deformation (Simard et al. 2003): standard deviation of each pixel's move, as a share of the side."""
    elastic_smoothness: Annotated[float, Field(ge=0.02, le=0.25)] = 0.08
    """Distance over which pixels move together, as a share of the side: the paper's sigma."""
    blur: Annotated[float, Field(ge=0, le=0.3)] = 0.0
    """Motion blur of half of the images along a line of up to this share of the side; 0 for none."""
    edges: Fraction = 0.0
    """White edges on black (Canny 1986) are mixed in with a weight of up to this; 0 for none."""
    morphology: Fraction = 0.0
    """The image's erosion, dilation, opening or closing is mixed in with a weight of up to this; 0 for none."""
    morphology_kind: Literal["any", "erosion", "dilation", "opening", "closing"] = "any"
    """Which of them; ``any`` draws one for each image."""
    morphology_radius: Annotated[int, Field(ge=1, le=4)] = 1
    """Pixels that they reach to each side."""
    mixup: Annotated[float, Field(ge=0, le=10)] = 0.0
    """MixUp (Zhang et al. 2018): two images of a batch and their labels are averaged with a weight from Beta(a, a) of
    this a, and masks as well; 0 for none."""
    cutmix: Annotated[float, Field(ge=0, le=10)] = 0.0
    """CutMix (Yun et al. 2019): a rectangle of another image of the batch is pasted in, with its mask. Its area is from
    Beta(a, a) of this a and weighs the labels; 0 for none. With ``mixup`` as well, each image draws one of the two."""
    policy: Policy = Policy()

    @property
    def applied(self) -> Augment:
        """With ``strength`` multiplied in."""
        if self.strength == 1:
            return self
        weaker = {name: getattr(self, name) * self.strength for name in OF_STRENGTH}
        return self.model_copy(update={**weaker, "strength": 1.0})
