"""Tells ink from paper: removes uneven light and noise, and gives the ink of a part of a page in [0, 1].

`digit` and `lines` decide which of the ink is a digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Grey = NDArray[np.float32]
    Mask = NDArray[np.bool_]
    Window = tuple[float, float, float, float]  # left, top, right, bottom, in the page's pixels

_THUMBNAIL_SIDE = 24  # enough for a smooth background
_WIDEST_STROKE = 0.25  # of the picture, for `evened`
_ROUNDS = 4  # of the fit; more make no visible difference
# Of the range of grey levels: a pixel further from a surface does not belong to it. Of the picture: if more of it is
# that far off, ink may have pulled the surface.
_EVEN, _MUCH = 0.1, 0.35
# Pixels unlike the rim are ink if nearly all are on the same side of it, lighter or darker, and a quarter of them are
# not much paler than the strongest: a note hardly darker than its desk reaches a third of the strength of the ink on
# it, soft or uneven strokes a half.
_ONE_SIDE, _STRONGEST, _FULL_INK = 0.9, 0.75, 0.45
_HARDLY = 1e-4  # the weight of that ink: with 0, paper on only two sides would leave the surface undetermined

# Grey levels of 255 between paper and full ink. Faint pencil, photographed, has about 30.
_LEAST_INK = 14.0
# Measured on 231 drawings and photographs, and on noise of every kind: ink is at least 11 times as
# strong as the noise around it, peaks of noise at most 2.9 times.
_LEAST_INK_TO_NOISE = 5.0
_LEAST_THRESHOLD, _HIGHEST_THRESHOLD = 0.2, 0.6  # of full ink
_OTSU_BINS = 64
_FEW = 0.005  # of the picture: less is a speck, or noise
_LEAST_NOISE = 3.0  # grey levels; less is not smoothed away


@dataclass(frozen=True)
class _Terms:
    """The terms 1, x, x2, y, y2, xy at some pixels of the thumbnail, and each pixel's importance."""

    values: NDArray[np.float64]
    importance: NDArray[np.float64]

    @cached_property
    def products(self) -> NDArray[np.float64]:
        """The products of every two terms, computed once."""
        return (self.values[:, None] * self.values).reshape(-1, self.values.shape[1])


def _terms(side: int) -> _Terms:
    """The terms at all pixels. The border counts twice, since ink is rare there."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].reshape(2, -1)
    terms = np.stack([np.ones_like(x), x, x * x, y, y * y, x * y])
    return _Terms(terms, np.where((np.abs(x) == 1) | (np.abs(y) == 1), 2.0, 1.0))


_TERMS = _terms(_THUMBNAIL_SIDE)
_ON_RIM = _TERMS.importance > 1
_FLAT = _Terms(_TERMS.values[[0, 1, 3]], _TERMS.importance)  # 1, x and y: a plane
_FLAT_RIM = _Terms(_FLAT.values[:, _ON_RIM], _TERMS.importance[_ON_RIM])


@dataclass(frozen=True)
class Ink:
    """The ink of one look at a page.

    Attributes:
        mask: (height, width); where there is ink.
        soft: (height, width) float32 in [0, 1]: the same with soft edges, 0.5 at the mask's edge.
        strength: (height, width) float32; 1 is full ink, 0 paper.
        threshold: The strength above which a pixel is in the mask.
        contrast: Grey levels between paper and full ink.
        noise: Grey levels; the noise's standard deviation.
        against: Grey levels by which something stands out of the paper in the direction opposite to ink.
    """

    mask: Mask
    soft: Grey
    strength: Grey
    threshold: float
    contrast: float
    noise: float
    against: float

    @cached_property
    def edge_width(self) -> float:
        """How many pixels wide the edges of the ink are: a shadow's or a lamp's are wide, a stroke's are not."""
        half = int(np.count_nonzero((self.soft > 0) & (self.soft < 1)))
        mask = self.mask
        edge = int(np.count_nonzero(mask[1:] != mask[:-1])) + int(np.count_nonzero(mask[:, 1:] != mask[:, :-1]))
        return half / max(edge, 1)

    @property
    def is_faint(self) -> bool:
        """Whether nothing stands out."""
        return self.contrast < _LEAST_INK

    @property
    def peak_of_noise(self) -> float:
        """The strength that peaks of noise may reach; 1 is full ink."""
        return _LEAST_INK_TO_NOISE * self.noise / max(self.contrast, 1e-6)

    @property
    def is_noise(self) -> bool:
        """Whether the ink is no stronger than peaks of noise."""
        return self.peak_of_noise > 1


def look(page: Image.Image, window: Window, side: int) -> Grey:
    """The window of the page, its longest side scaled to `side` pixels."""
    left, top, right, bottom = window
    scale = side / max(right - left, bottom - top)
    size = (max(1, round(scale * (right - left))), max(1, round(scale * (bottom - top))))
    # `reducing_gap` lets Pillow average whole pixels first, which takes a tenth of the time.
    seen = page.resize(size, Image.Resampling.BICUBIC, box=window, reducing_gap=1.0)
    return np.asarray(seen, dtype=np.float32)


def relief_of(seen: Grey) -> Grey:
    """Subtract a smooth surface fitted to the paper, so that uneven light is gone.

    The surface is quadratic, fitted to a thumbnail by iteratively reweighted least squares: pixels far from it, the
    ink, hardly pull it. Ink on a third of the page does pull it, as in a picture cropped to the digit: then the surface
    is fitted to the paper only, if the rim shows which pixels are paper.
    """
    size = (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE)
    thumbnail = Image.fromarray(seen).resize(size, Image.Resampling.BOX)
    values = np.asarray(thumbnail, dtype=np.float64).reshape(-1)
    fitted = _fitted(values, _TERMS, _TERMS.importance)
    if np.mean(np.abs(values - fitted @ _TERMS.values) > _EVEN * np.ptp(values)) > _MUCH:
        paper = _paper_from_rim(values)
        if paper is not None:
            fitted = _solved(values, _TERMS, _TERMS.importance * np.where(paper, 1.0, _HARDLY))
    return seen - _surface(fitted.astype(np.float32), seen.shape)


def _paper_from_rim(values: NDArray[np.float64]) -> Mask | None:
    """Which pixels are paper, if paper is most of the rim and the other pixels are ink; None if not.

    The paper is taken for a plane here: a curved surface would bend towards a bar along one side.
    """
    rim = values[_ON_RIM]
    light = rim > (values.min() + values.max()) / 2
    most = light == (2 * np.count_nonzero(light) > rim.size)
    off = values - _fitted(rim, _FLAT_RIM, _FLAT_RIM.importance * most) @ _FLAT.values
    far = np.abs(off) > _EVEN * np.ptp(values)
    if 2 * np.count_nonzero(far[_ON_RIM]) > rim.size or not far.any():
        return None
    ink = off[far] * np.sign(off[far].sum())
    is_ink = np.mean(ink > 0) >= _ONE_SIDE and np.quantile(ink, _STRONGEST) > _FULL_INK * ink.max()
    return ~far if is_ink else None


def _fitted(values: NDArray[np.float64], terms: _Terms, weights: NDArray[np.float64]) -> NDArray[np.floating]:
    """The coefficients of the surface, fitted starting from these weights of the pixels."""
    for _ in range(_ROUNDS):
        fitted = _solved(values, terms, weights)
        weights = _nearness(values - fitted @ terms.values, terms)
    return fitted


def _solved(values: NDArray[np.float64], terms: _Terms, weights: NDArray[np.float64]) -> NDArray[np.floating]:
    """The coefficients of the surface that is nearest to the values with these weights."""
    products = (terms.products @ weights).reshape(len(terms.values), -1)
    return np.linalg.solve(products, terms.values @ (weights * values))


def _nearness(off: NDArray[np.floating], terms: _Terms) -> NDArray[np.float64]:
    """The weights of pixels by their distance from the surface: the nearest half counts, ink hardly."""
    distance = np.abs(off)
    spread = 1.0 + 1.5 * median(distance)
    return np.asarray(terms.importance / (1.0 + (distance / spread) ** 2))


def evened(seen: Grey, polarity: np.float32) -> Grey:
    """Subtract the paper's level near each pixel, so that a shadow across it is gone, even one with an edge.

    A morphological closing gives the paper: it fills all ink of that polarity narrower than a quarter of the picture
    with its surroundings. This costs more than `relief_of`, and loses very thick strokes and those along the rim.
    """
    window = int(_WIDEST_STROKE * max(seen.shape))
    light = np.float32(-polarity) * steadied(seen)
    # The edge pixels are repeated outside, so that a strip between a light and the rim is not filled with the light.
    around = np.pad(light, window - 1, mode="edge")
    return np.float32(-polarity) * (light + _highest(-_highest(around, window), window))


def steadied(seen: Grey) -> Grey:
    """The look, smoothed if it is noisy, so that its lightest and darkest pixels are not noise."""
    return _smoothed(seen, rounds=int(noise_of(seen) >= _LEAST_NOISE))


def _highest(levels: Grey, window: int) -> Grey:
    """The highest level in each square of `window` x `window` pixels that lies inside."""
    for _ in range(2):
        size = 1
        while size < window:  # the highest of two runs side by side; the last two may overlap
            step = min(size, window - size)
            levels = np.maximum(levels[step:], levels[:-step])
            size += step
        levels = levels.T
    return levels


def _surface(fitted: Grey, shape: tuple[int, ...]) -> Grey:
    """Evaluate a + bx + cx2 + dy + ey2 + fxy at every pixel, coordinates in [-1, 1]."""
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)
    a, b, c, d, e, f = fitted
    along_x, along_y = a + x * (b + c * x), y * (d + e * y)
    return np.asarray(along_x + along_y + (f * y) * x, dtype=np.float32)


def polarity_of(relief: Grey) -> np.float32:
    """1 for light ink on darker paper, -1 for dark ink: ink is the relief's heavy tail."""
    return np.float32(np.sign(np.sum(relief * relief * relief)))


def noise_of(grey: Grey) -> float:
    """The noise's standard deviation: strokes are few, so most second differences are noise."""
    rows = grey[::2]  # tells as much as all rows
    second = rows[:, 2:] - 2 * rows[:, 1:-1] + rows[:, :-2]
    return median(np.abs(second).reshape(-1)) / (0.6745 * 6**0.5) if second.size else 0.0


def ink_of(relief: Grey, noise: float) -> Ink:
    """Split a relief in which ink is positive into ink and paper."""
    relief = _smoothed(relief, rounds=0 if noise < _LEAST_NOISE else 2 if noise < 10 else 4)
    contrast = _full_ink(relief)
    strength = relief / np.float32(max(contrast, 1e-6))
    threshold = min(max(otsu(strength), _LEAST_THRESHOLD), _HIGHEST_THRESHOLD)
    soft = np.clip(strength / np.float32(threshold) - np.float32(0.5), 0, 1)
    quarter = relief[::2, ::2].reshape(-1)  # tells as much as all pixels
    place = int(_FEW * quarter.size)
    against = -float(np.partition(quarter, place)[place])
    return Ink(strength > threshold, soft, strength, threshold, contrast, noise, against)


def _smoothed(relief: Grey, rounds: int) -> Grey:
    """Average every pixel with its neighbours, weights 1 2 1 in both directions, `rounds` times."""
    for _ in range(2 * rounds):
        above, below = np.concatenate([relief[:1], relief[:-1]]), np.concatenate([relief[1:], relief[-1:]])
        relief = ((above + below) / np.float32(4) + relief / np.float32(2)).T
    return relief


def _full_ink(relief: Grey) -> float:
    """The grey levels between paper and full ink; the strongest fifth of the pixels that stand out does not count."""
    strong = relief[relief > np.float32(0.4) * relief.max()]
    if not strong.size:
        return 0.0
    place = int(0.8 * (strong.size - 1))
    return float(np.partition(strong, place)[place])


def otsu(strength: Grey) -> float:
    """The threshold that splits values in [0, 1] best into two classes (Otsu, 1979)."""
    bins = np.clip(strength * np.float32(_OTSU_BINS), 0, _OTSU_BINS - 1).astype(np.uint8)
    counts = np.array(Image.fromarray(bins).histogram()[:_OTSU_BINS], dtype=np.float64)
    below, sums = np.cumsum(counts)[:-1], np.cumsum(counts * np.arange(_OTSU_BINS))
    above = counts.sum() - below
    gap = sums[:-1] / np.maximum(below, 1) - (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    return float(1 + np.argmax(below * above * gap**2)) / _OTSU_BINS


def median(values: NDArray[np.floating]) -> float:
    """The upper median; NumPy's own takes five times as long on arrays as small as these."""
    middle = values.size // 2
    return float(np.partition(values, middle)[middle])
