"""Corruptions: seeded, and each does what its name says and nothing else."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.synthetic import draw_digits
from trainer.corruptions import CORRUPTIONS, STRENGTHS
from trainer.images.framing import frame

Images = NDArray[np.uint8]


@pytest.fixture(scope="module")
def images() -> Images:
    """200 drawn digits in MNIST's form, with its black margin; don't change them."""
    drawn, _ = draw_digits(200, seed=4)
    return np.stack([frame(np.where(image > 100, image / 255, 0.0)) for image in drawn])


def corrupt(name: str, images: Images, seed: int = 1) -> Images:
    return CORRUPTIONS[name](images, np.random.default_rng(seed))


def mass(images: Images) -> NDArray[np.float64]:
    return np.asarray(images.sum(axis=(1, 2)), np.float64)


def centre(images: Images) -> NDArray[np.float64]:
    """Row and column of the centre of mass: [N, 2]."""
    places = np.arange(28)
    return np.stack([images.sum(axis=2) @ places, images.sum(axis=1) @ places], axis=1) / mass(images)[:, np.newaxis]


def test_there_are_fifteen() -> None:
    """Every corruption of MNIST-C's default set is there."""
    assert len(CORRUPTIONS) == 15


def test_each_says_how_strong_it_is() -> None:
    """Each strength is a few words with a figure, and no two are the same."""
    assert set(STRENGTHS) == set(CORRUPTIONS)
    assert len(set(STRENGTHS.values())) == 15
    for words in STRENGTHS.values():
        assert re.search(r"[0-9]", words)
        assert len(words) <= 50


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_image_changes(name: str, images: Images) -> None:
    """Images stay uint8 [N, 28, 28], and each of them changes."""
    corrupted = corrupt(name, images)
    assert corrupted.dtype == np.uint8
    assert corrupted.shape == images.shape
    assert (corrupted != images).any(axis=(1, 2)).all()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_images_are_left_as_they_are(name: str, images: Images) -> None:
    """The images that are passed in are not changed, and may be read-only."""
    kept = images.copy()
    kept.flags.writeable = False
    corrupt(name, kept)
    assert np.array_equal(kept, images)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_seed_decides(name: str, images: Images) -> None:
    """The same seed gives the same result; another seed gives another one, if the corruption is random at all."""
    assert np.array_equal(corrupt(name, images), corrupt(name, images))
    chance = name not in {"scale", "brightness", "stripe", "canny_edges"}
    assert np.array_equal(corrupt(name, images, seed=2), corrupt(name, images)) is not chance


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_no_images_stay_none(name: str) -> None:
    """An empty set of images comes back empty."""
    assert corrupt(name, np.zeros((0, 28, 28), np.uint8)).shape == (0, 28, 28)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_any_bytes_will_do(name: str, seed: int) -> None:
    """Images of any bytes come back in their form; nothing overflows or divides by zero."""
    generator = np.random.default_rng(seed)
    anything = generator.choice(np.array([0, 1, 128, 254, 255], np.uint8), (3, 28, 28))
    assert corrupt(name, anything, seed).shape == (3, 28, 28)


def test_shot_noise_is_where_ink_is(images: Images) -> None:
    """The black ground stays black, and full white turns into multiples of a third."""
    assert not corrupt("shot_noise", images)[images == 0].any()
    white = corrupt("shot_noise", np.full((100, 28, 28), 255, np.uint8))
    assert set(np.unique(white)) == {0, 85, 170, 255}
    # Of a Poisson distribution with mean 3: none in 5 % of the pixels.
    assert np.mean(white == 0) == pytest.approx(np.exp(-3), abs=0.005)


def test_impulse_noise_is_salt_and_pepper() -> None:
    """17 % of the pixels are lost, half to white and half to black; the others keep their values."""
    grey = corrupt("impulse_noise", np.full((200, 28, 28), 100, np.uint8))
    assert set(np.unique(grey)) == {0, 100, 255}
    assert np.mean(grey == 255) == pytest.approx(0.085, abs=0.005)
    assert np.mean(grey == 0) == pytest.approx(0.085, abs=0.005)


def test_glass_blur_loses_no_light(images: Images) -> None:
    """Pixels only change places: the total light stays, up to rounding to bytes, and so does its centre."""
    blurred = corrupt("glass_blur", images)
    assert mass(blurred) == pytest.approx(mass(images), rel=0.02)
    assert np.abs(centre(blurred) - centre(images)).mean() < 0.5


def test_motion_blur_smears_sideways(images: Images) -> None:
    """The light moves to one side, about as far in all images, and up as often as down."""
    moved = centre(corrupt("motion_blur", images)) - centre(images)
    assert (moved[:, 1] < -0.5).all()
    assert np.abs(moved[:, 0].mean()) < 0.5
    assert np.abs(moved[:, 0]).max() > 1


@pytest.mark.parametrize("name", ["shear", "rotate"])
def test_leaning_and_turning_keep_ink(name: str, images: Images) -> None:
    """The ink nearly keeps its area, and half of the images lean the other way."""
    changed = corrupt(name, images)
    assert mass(changed) == pytest.approx(mass(images), rel=0.05)
    rows, columns = np.mgrid[0:28, 0:28] - 13.5
    lean = (changed.astype(float) - images) @ columns[0] @ rows[:, 0]
    assert 60 < np.count_nonzero(lean > 0) < 140


def test_shear_leans_by_two_fifths_of_the_height() -> None:
    """An upright line leans to the left or to the right about its middle, by 0.4 pixels a row."""
    line = np.zeros((50, 28, 28), np.uint8)
    line[:, 6:22, 13:15] = 255
    leaning = corrupt("shear", line).astype(float)
    columns = (leaning @ np.arange(28) / leaning.sum(axis=2).clip(1))[:, 7:21] - 13.5
    lean = (columns / (np.arange(7, 21) - 13.5)).mean(axis=1)
    assert np.abs(lean) == pytest.approx(0.4, abs=0.02)
    assert set(np.sign(lean)) == {-1, 1}


def test_turned_back_is_as_before() -> None:
    """A ring around the centre looks the same when turned; a line does not."""
    rows, columns = np.mgrid[0:28, 0:28] - 13.5
    ring = 200 * np.exp(-((np.hypot(rows, columns) - 8) ** 2) / 4)
    line = np.uint8(200) * (np.abs(rows) < 1.5) * (np.abs(columns) < 8)
    turned = corrupt("rotate", np.stack([ring, line]).astype(np.uint8)).astype(int)
    assert np.abs(turned[0] - ring).max() < 20
    angle = np.arctan2(*np.linalg.eigh(np.cov(np.argwhere(turned[1] > 100).T))[1][:, 1])
    assert abs(np.tan(angle)) == pytest.approx(np.tan(0.4), abs=0.1)


def test_scale_shrinks_about_the_centre(images: Images) -> None:
    """A digit of 20 pixels becomes one of 14, half its area, and its centre moves in the same ratio."""
    shrunk = corrupt("scale", images)
    height = [np.ptp(np.flatnonzero((image > 60).any(axis=1))) + 1 for image in shrunk]
    assert np.mean(height) == pytest.approx(14, abs=0.7)
    assert mass(shrunk).sum() / mass(images).sum() == pytest.approx(0.49, abs=0.02)
    assert centre(shrunk) - 13.5 == pytest.approx((centre(images) - 13.5) * 0.7, abs=0.2)


def test_brightness_adds_the_same_everywhere(images: Images) -> None:
    """The ground turns to a middle grey; nothing gets darker."""
    brighter = corrupt("brightness", images)
    assert (brighter[images == 0] == 128).all()
    assert (brighter[images >= 128] == 255).all()


def test_translate_keeps_the_ink(images: Images) -> None:
    """All ink is kept, moved by three pixels in both directions, towards each of the four corners."""
    within = np.pad(images[:, 3:25, 3:25], [(0, 0), (3, 3), (3, 3)])
    shifted = corrupt("translate", within)
    assert np.array_equal(mass(shifted), mass(within))
    moved = centre(shifted) - centre(within)
    assert np.abs(moved) == pytest.approx(3.0)
    assert len(np.unique(np.sign(moved), axis=0)) == 4


def test_stripe_turns_the_sides_into_their_negative(images: Images) -> None:
    """Seven columns at each side are inverted, the 14 between them untouched; applied twice it restores the image."""
    striped = corrupt("stripe", images)
    assert np.array_equal(striped[:, :, 7:21], images[:, :, 7:21])
    assert np.array_equal(striped[:, :, :7], 255 - images[:, :, :7])
    assert np.array_equal(corrupt("stripe", striped), images)


def test_fog_leaves_a_quarter_of_the_contrast() -> None:
    """Ink is lighter than the ground at the same place by a quarter of white, and the ground is grey and uneven."""
    ground, ink = (corrupt("fog", np.full((50, 28, 28), value, np.uint8)) for value in (0, 255))
    assert ink.astype(int) - ground == pytest.approx(64, abs=1.01)
    assert ground.mean() > 60
    assert (ground.std(axis=(1, 2)) > 2).all()


def test_spatter_is_mud(images: Images) -> None:
    """Drops make ink darker and the ground lighter, over a small part of the image."""
    spattered = corrupt("spatter", images)
    covered = spattered != images
    assert covered.mean() == pytest.approx(0.14, abs=0.03)
    assert (spattered[covered & (images > 100)] < images[covered & (images > 100)]).all()
    assert (spattered[images == 0] <= 63).all()


@pytest.mark.parametrize("name", ["dotted_line", "zigzag"])
def test_lines_only_add_ink(name: str, images: Images) -> None:
    """Nothing gets darker, and what is added is a thin line."""
    lined = corrupt(name, images)
    assert (lined >= images).all()
    assert 0.005 < np.mean(lined > images) < 0.2


def test_dotted_line_has_gaps() -> None:
    """From the left edge to the right, two columns are left out and two are drawn on, in turn."""
    lines = corrupt("dotted_line", np.zeros((30, 28, 28), np.uint8))
    inked = lines.any(axis=1)
    assert np.array_equal(inked, np.tile(np.arange(28) // 2 % 2 == 1, (30, 1)))


def test_zigzag_goes_up_and_down() -> None:
    """Its brightest row turns around again and again, within two pixels of the line's middle, which may slope."""
    lines = corrupt("zigzag", np.zeros((200, 28, 28), np.uint8))
    whole = lines[(lines.max(axis=1)[:, 2:26] > 100).all(axis=1)]  # lines that stay inside the image
    rows = whole.argmax(axis=1)[:, 2:26].astype(int)
    turns = np.count_nonzero(np.diff(np.sign(np.diff(rows, axis=1)), axis=1), axis=1)
    assert len(whole) > 50
    assert (turns >= 4).all()
    assert np.ptp(rows, axis=1).max() <= 2 * 2 + 5 + 2


def test_canny_edges_are_outlines() -> None:
    """A disk becomes a thin closed ring, and a blank image nothing at all."""
    rows, columns = np.mgrid[0:28, 0:28] - 13.5
    distance = np.hypot(rows, columns)
    disk = np.uint8(255) * (distance < 8)
    edges = corrupt("canny_edges", np.stack([disk, np.zeros_like(disk), np.full_like(disk, 255)]))
    assert set(np.unique(edges)) == {0, 255}
    ring = np.hypot(*(np.argwhere(edges[0]) - 13.5).T)
    assert ring == pytest.approx(8, abs=1.2)
    angles = np.sort(np.arctan2(*(np.argwhere(edges[0]) - 13.5).T))
    assert np.diff(angles).max() < 0.3
    assert len(angles) < 1.3 * 2 * np.pi * 8
    assert not edges[1:].any()
