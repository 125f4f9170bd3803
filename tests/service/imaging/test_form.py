import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from service.imaging.form import box_of, grown, grown_by, is_mnist_format, row_of

Grey = NDArray[np.float32]
MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.booleans())


def ring(width: int, height: int, pen: int) -> Grey:
    """A zero that fills its box, drawn with a pen."""
    image = Image.new("L", (width, height))
    ImageDraw.Draw(image).ellipse((0, 0, width - 1, height - 1), outline=255, width=pen)
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def page_of(row: Grey) -> Image.Image:
    return Image.fromarray(np.rint(row.reshape(28, 28) * 255).astype(np.uint8))


@given(st.integers(12, 200), st.integers(12, 200), st.integers(1, 12))
def test_every_size_of_ink_becomes_a_row_in_mnist_s_form(width: int, height: int, pen: int) -> None:
    """784 values in [0, 1], 20 pixels long, as wide in proportion, the centre of mass in the middle."""
    row = row_of(ring(width, height, min(pen, width // 4, height // 4)))
    image = row.reshape(28, 28)
    top, left, bottom, right = box_of(image, threshold=0)

    assert row.shape == (784,)
    assert row.dtype == np.float32
    assert row.min() == 0
    assert row.max() == 1
    assert 19 <= max(bottom - top, right - left) <= 20
    places = np.arange(28)
    centre = image.sum(axis=1) @ places / image.sum(), image.sum(axis=0) @ places / image.sum()
    assert centre == pytest.approx((14, 14), abs=0.51)


@pytest.mark.parametrize("pen", [1, 30])
def test_hairlines_and_markers_come_near_to_usual_strokes(pen: int) -> None:
    """Their ink is between 0.5 and 1.6 times that of a usual stroke."""
    usual = row_of(ring(150, 160, 18)).sum()

    assert 0.5 < row_of(ring(150, 160, pen)).sum() / usual < 1.6


def test_ink_that_thinning_would_take_away_stays() -> None:
    """Grey ink all over counts as a very thick stroke; thinning by that much would remove its one thin dark line."""
    ink = np.full((60, 60), 0.45, dtype=np.float32)
    ink[30] = 1

    row = row_of(ink)

    assert (row.min(), row.max()) == (0, 1)
    assert (row.reshape(28, 28)[13:16] > 0.9).any()


def test_a_row_is_a_picture_in_mnist_s_form() -> None:
    """It is passed through; larger, shifted, inverted and faint copies are not."""
    page = page_of(row_of(ring(60, 90, 9)))

    assert is_mnist_format(page)
    assert not is_mnist_format(page.resize((29, 29)))
    assert not is_mnist_format(page.transform((28, 28), Image.Transform.AFFINE, (1, 0, 3, 0, 1, 0)))
    assert not is_mnist_format(page.point(lambda level: 255 - level))
    assert not is_mnist_format(page.point(lambda level: level // 3))


@given(mask=MASKS, with_corners=st.booleans())
def test_ink_grows_by_one_pixel_to_each_side(mask: NDArray[np.bool_], *, with_corners: bool) -> None:
    """A pixel is inked if it or a neighbour was; diagonal neighbours count where corners do."""
    steps = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if with_corners or down == 0 or right == 0]
    padded = np.pad(mask, 1)
    height, width = mask.shape
    expected = np.any([padded[1 + d : 1 + d + height, 1 + r : 1 + r + width] for d, r in steps], axis=0)

    before = mask.copy()
    assert np.array_equal(grown(mask, with_corners=with_corners), expected)
    assert np.array_equal(grown(mask.astype(np.float32), with_corners=with_corners), expected)
    assert np.array_equal(mask, before)


@pytest.mark.parametrize("pixels", range(6))
def test_a_dot_grows_to_an_octagon(pixels: int) -> None:
    """It reaches `pixels` along each axis, and half as far again along both together."""
    down, right = np.abs(np.mgrid[-8:9, -8:9])
    octagon = (np.maximum(down, right) <= pixels) & (down + right <= pixels + pixels // 2)

    assert np.array_equal(grown_by((down == 0) & (right == 0), pixels), octagon)


@given(MASKS.filter(lambda mask: bool(mask.any())))
def test_a_box_is_the_smallest_around_the_ink(mask: NDArray[np.bool_]) -> None:
    """Its ends are exclusive."""
    rows, columns = np.nonzero(mask)

    assert box_of(mask.astype(np.float32)) == (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
