"""Fifteen ways to corrupt a digit's image so that it stays readable, after MNIST-C.

Mu & Gilmer 2019, arXiv:1906.02337. Reimplemented: the kinds and the severities are theirs, the random numbers are not,
so errors are close to those on the published images, but not equal.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trainer.corruptions import geometry, light, occlusions

Corruption: TypeAlias = Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]
"""Maps images uint8 [N, 28, 28], which it does not modify, to as many corrupted ones."""

CORRUPTIONS: Mapping[str, Corruption] = {
    "shot_noise": light.shot_noise,
    "impulse_noise": light.impulse_noise,
    "glass_blur": light.glass_blur,
    "motion_blur": light.motion_blur,
    "shear": geometry.shear,
    "scale": geometry.scale,
    "rotate": geometry.rotate,
    "brightness": light.brightness,
    "translate": geometry.translate,
    "stripe": occlusions.stripe,
    "fog": light.fog,
    "spatter": occlusions.spatter,
    "dotted_line": occlusions.dotted_line,
    "zigzag": occlusions.zigzag,
    "canny_edges": occlusions.canny_edges,
}

STRENGTHS: Mapping[str, str] = {**light.STRENGTHS, **geometry.STRENGTHS, **occlusions.STRENGTHS}
"""How strong each of them is, in a few words for people."""
