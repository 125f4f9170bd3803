import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from service.imaging.paper import evened, ink_of, look, median, noise_of, polarity_of, relief_of

Grey = NDArray[np.float32]
SHAPE = (96, 128)


def stroke(level: float = 1.0) -> Grey:
    """A thick upright stroke of one level on 0."""
    ink = np.zeros(SHAPE, dtype=np.float32)
    ink[20:76, 60:70] = level
    return ink


def light(*factors: float) -> Grey:
    """A lamp's light: the terms 1, x, x2, y, y2, xy weighted by the factors; coordinates in [-1, 1]."""
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    terms = (np.ones(SHAPE), x, x * x, y, y * y, x * y)
    return np.asarray(sum(f * term for f, term in zip(factors, terms, strict=True)), dtype=np.float32)


@given(st.tuples(st.floats(60, 200), *[st.floats(-25, 25)] * 5), st.sampled_from([-50.0, 50.0]))
def test_smooth_light_is_taken_away(factors: tuple[float, ...], ink: float) -> None:
    """Whatever the lamp, paper comes out as about 0, and ink as about what it adds to the paper."""
    relief = relief_of(light(*factors) + stroke(ink))

    assert np.abs(relief[stroke() == 0]).mean() < 4
    assert relief[stroke() > 0].mean() == pytest.approx(ink, abs=8)


@pytest.mark.parametrize("width", [20, 30, 36])
@pytest.mark.parametrize("ink", [-230.0, 230.0])
def test_a_marker_on_up_to_two_fifths_of_the_page_is_ink(width: int, ink: float) -> None:
    """A blot in the middle of an even page does not bend the fitted paper: the rim comes out as 0, all ink as ink."""
    blot = np.zeros((128, 128), dtype=np.float32)
    blot[20:108, 64 - width : 64 + width] = ink

    relief = relief_of(blot)

    assert np.abs(relief[blot == 0]).max() < 5
    assert np.abs(relief[blot != 0] - ink).max() < 5


@pytest.mark.parametrize("ink", [-180.0, 180.0])
def test_soft_strokes_on_two_fifths_of_the_page_are_ink(ink: float) -> None:
    """Paper between and around blurred strokes is still paper: it comes out as 0, and ink as ink."""
    across = np.clip(1 - np.abs(np.arange(128, dtype=np.float32) - 64) / 40, 0, 1)
    soft = np.zeros((128, 128), dtype=np.float32)
    soft[12:116] = np.float32(ink) * across

    relief = relief_of(soft)

    assert np.abs(relief[soft == 0]).max() < 5
    assert np.abs(relief - soft).max() < 25


def test_a_marker_that_meets_the_rim_is_ink() -> None:
    """A seven that fills half of its picture, its bar along one side: most of the rim is still paper."""
    seen = light(200, 8, 0, -8, 0, 0)
    ink = np.zeros(SHAPE, dtype=np.bool_)
    ink[:24] = True
    ink[:, 60:96] = True

    relief = relief_of(np.where(ink, np.float32(30), seen))

    assert np.abs(relief[~ink]).max() < 5
    assert relief[ink].max() < -140


def test_paper_on_two_sides_only_is_fitted() -> None:
    """The fit cannot tell how the paper bends between the two sides, but gives it a level there."""
    seen = np.full((96, 96), 30, dtype=np.float32)
    seen[:, :4] = seen[:, -4:] = 200

    assert np.abs(relief_of(seen)).max() < 1000


def test_a_large_note_that_is_hardly_darker_than_the_desk_is_no_ink() -> None:
    """Only the writing on the note is ink."""
    seen = np.full((128, 128), 235, dtype=np.float32)
    seen[24:104, 24:104] = 190
    seen[40:90, 60:68] = 100

    mask = ink_of(-relief_of(seen), noise=0.0).mask

    assert mask[40:90, 60:68].all()
    assert mask.sum() == 50 * 8


@pytest.mark.parametrize("shape", [(1, 512), (2, 512), (24, 512), (104, 512), (512, 90), (128, 128)])
@pytest.mark.parametrize("polarity", [-1, 1])
def test_paper_of_any_shape_is_evened(shape: tuple[int, int], polarity: int) -> None:
    """A strip narrower than the widest stroke has a paper too, and even paper comes out even."""
    seen = np.full(shape, 200, np.float32)
    seen[shape[0] // 2, shape[1] // 2] += polarity * 50

    flat = evened(seen, np.float32(polarity))

    assert flat.shape == shape
    assert np.count_nonzero(flat) == 1


def test_a_shadow_with_an_edge_is_taken_away() -> None:
    """Half of the paper is darker; neither half, nor the edge between them, is ink afterwards."""
    paper = np.full(SHAPE, 220, dtype=np.float32)
    paper[:, :16] = 120
    paper[:, 16:28] = np.linspace(120, 220, 12)

    flat = evened(paper - stroke(90), np.float32(-1))

    assert flat[stroke() > 0].mean() == pytest.approx(-90, abs=10)
    assert np.abs(flat[stroke() == 0]).mean() < 5


@given(st.integers(1, 40), st.sampled_from([-1.0, 1.0]))
def test_ink_is_what_there_is_less_of(width: int, sign: float) -> None:
    """Light ink gives 1, dark ink -1, for thin and for thick strokes."""
    page = np.zeros(SHAPE, dtype=np.float32)
    page[10:90, 40 : 40 + width] = sign * 100

    assert polarity_of(page - page.mean()) == sign


@pytest.mark.parametrize("spread", [2.0, 8.0, 20.0])
def test_noise_is_estimated_in_grey_levels(spread: float) -> None:
    """The estimate is within a tenth on an empty page, and within 15 % with a stroke on it."""
    noise = np.random.default_rng(3).normal(0, spread, SHAPE).astype(np.float32)

    assert noise_of(noise) == pytest.approx(spread, rel=0.1)
    assert noise_of(noise + stroke(120)) == pytest.approx(spread, rel=0.15)


@given(st.floats(20, 200), st.floats(0, 2))
def test_ink_lies_where_the_stroke_is(contrast: float, noise: float) -> None:
    """The mask is the stroke, soft ink is full in it and nothing outside, whatever the contrast."""
    ink = ink_of(stroke(contrast), noise)

    assert np.array_equal(ink.mask, stroke() > 0)
    assert np.array_equal(ink.soft, stroke())
    assert ink.contrast == pytest.approx(contrast)
    assert not ink.is_faint


def test_what_hardly_stands_out_is_faint_and_what_drowns_is_noise() -> None:
    """Ink of fewer than 14 grey levels is faint; ink less than five times as strong as the noise is noise."""
    assert ink_of(stroke(10), 0).is_faint
    assert not ink_of(stroke(20), 0).is_faint
    assert ink_of(stroke(40), 9).is_noise
    assert not ink_of(stroke(40), 2).is_noise


@given(st.integers(1, 600), st.integers(1, 600), st.sampled_from([32, 128]))
def test_a_look_has_the_side_asked_for(width: int, height: int, side: int) -> None:
    """The longest side has it, on small pages and on large ones; the other side is in proportion."""
    seen = look(Image.new("L", (width, height), 7), (0, 0, width, height), side)

    assert max(seen.shape) == side
    assert min(seen.shape) == max(1, round(side * min(width, height) / max(width, height)))
    assert (seen == 7).all()


def test_a_look_shows_its_window() -> None:
    """What lies outside of it is not seen."""
    page = Image.new("L", (100, 100), 0)
    page.paste(255, (50, 0, 100, 100))

    assert (look(page, (60, 20, 100, 60), 40) == 255).all()
    assert (look(page, (0, 20, 40, 60), 40) == 0).all()


@given(st.lists(st.integers(-100, 100), min_size=1, max_size=50))
def test_the_upper_median(values: list[int]) -> None:
    """The value in the middle; of two in the middle the larger one."""
    assert median(np.array(values, dtype=np.float32)) == sorted(values)[len(values) // 2]


@pytest.mark.parametrize("lamp", [0, 60])
def test_what_is_against_the_ink_is_told(lamp: int) -> None:
    """A lamp beside a dark stroke stands out in the opposite direction; on even paper nothing does."""
    page = -stroke(100)
    page[10:30, 10:30] += lamp

    assert ink_of(-page, noise=0).against == pytest.approx(lamp)
