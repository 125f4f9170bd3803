"""Non-digits in MNIST's form, on which the output `is_digit` is measured: letters, words, noise, scribbles and so on.

Never used for training: `outliers.py` makes other images for that, by other means. Letters and words are printed in
the one typeface that Pillow ships, the same on every machine (docs/decisions/0008).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from trainer.data import IMAGE_SIDE
from trainer.images.framing import INK_SIDE, frame

Images: TypeAlias = NDArray[np.uint8]
NonDigits: TypeAlias = Callable[[int, Images, np.random.Generator], Images]
"""Makes a number of images uint8 [N, 28, 28], from digits uint8 [M, 28, 28] if it needs any."""

# Letters that nobody writes as a digit: none of B, C, D, G, I, J, O, Q, S, Y, Z, b, c, g, i, j, l, o, q, s, y, z.
CLEAR_LETTERS = "AEFHKLMNPRTUVWXadefhkmnprtuvwx"
# In a word any letter is clear, except I, l, i, O and o: four of these could be taken for digits.
WORD_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ", "abcdefghjkmnpqrstuvwxyz"

_WORD_LENGTH = 4
_FONT_PIXELS = 96  # capitals are 68 pixels high: more than three times the framed image's 20
# Faces: from the typeface as it is to bold, from narrow to wide, from upright to italic.
_BOLDEST = 4  # pixels added on each side of a stroke 9 wide: at a height of 20 pixels, 2.5 become 5
_WIDTHS = (0.75, 1.25)
_MAX_SLANT = 0.25  # sideways per height: 14 degrees, a usual italic
_MAX_TURN_DEGREES = 10.0  # turned further, a letter may look like another sign

_GAP_PIXELS = (0, 4)  # between two digits: from touching to clearly apart
_SCALES = (2.0, 24.0)  # length of a stripe, check or blob in pixels: from the finest possible to the whole frame
_SCRIBBLE_SIDE = 112  # drawn at four times the image's size
_PEN_PIXELS = (5, 12)  # of the scribble's 112: 1.2 to 2.8 in the image; any thicker, a tangle becomes a blot
_HARMONICS = 8  # of a scribbled stroke: with fewer it often looks like a 0, a 6 or an 8


def _letters(count: int, _digits: Images, generator: np.random.Generator) -> Images:
    chosen = generator.choice(list(CLEAR_LETTERS), count)
    return _stacked([frame(_print(letter, generator)) for letter in chosen])


def _words(count: int, _digits: Images, generator: np.random.Generator) -> Images:
    """Four letters, all capitals or all small."""
    cases = [list(WORD_LETTERS[index]) for index in generator.integers(len(WORD_LETTERS), size=count)]
    words = ["".join(generator.choice(letters, _WORD_LENGTH)) for letters in cases]
    return _stacked([frame(_print(word, generator)) for word in words])


def _print(text: str, generator: np.random.Generator) -> NDArray[np.float32]:
    """Prints text in a random face, rotated a little: ink float32 [H, W] in 0 to 1."""
    weight = int(generator.integers(_BOLDEST + 1))
    left, top, right, bottom = _font().getbbox(text, stroke_width=weight)
    size = (int(right - left), int(bottom - top))
    margin = max(size) // 3  # room to lean, turn and widen
    page = Image.new("L", (size[0] + 2 * margin, size[1] + 2 * margin))
    ImageDraw.Draw(page).text(
        (margin - left, margin - top), text, fill=255, font=_font(), stroke_width=weight, stroke_fill=255
    )
    matrix = np.linalg.inv(_face(generator))
    centre = np.array(page.size) / 2
    shift = centre - matrix @ centre
    page = page.transform(
        page.size,
        Image.Transform.AFFINE,
        (*matrix[0], shift[0], *matrix[1], shift[1]),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(page, np.float32) / np.float32(255)


def _face(generator: np.random.Generator) -> NDArray[np.float64]:
    """How a random face differs from the typeface: width, slant and the paper's rotation; a matrix float64 [2, 2]."""
    width, slant = generator.uniform(*_WIDTHS), generator.choice([0.0, generator.uniform(0.0, _MAX_SLANT)])
    turn = np.radians(generator.uniform(-_MAX_TURN_DEGREES, _MAX_TURN_DEGREES))
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(turned @ np.array([[width, -slant], [0.0, 1.0]]))


@cache
def _font() -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(_FONT_PIXELS)
    assert isinstance(font, ImageFont.FreeTypeFont)  # noqa: S101 - every wheel of Pillow has FreeType
    # The other layout engine is a library that only some machines have; with it, words would look different.
    return font.font_variant(layout_engine=ImageFont.Layout.BASIC)


def _two_digits(count: int, digits: Images, generator: np.random.Generator) -> Images:
    pairs = digits[generator.integers(len(digits), size=(count, 2))]
    gaps = generator.integers(*_GAP_PIXELS, size=count, endpoint=True)
    rows = [
        np.concatenate([_inked_columns(left), np.zeros((IMAGE_SIDE, gap), np.uint8), _inked_columns(right)], axis=1)
        for (left, right), gap in zip(pairs, gaps, strict=True)
    ]
    return _stacked([frame(row / 255) for row in rows])


def _inked_columns(digit: Images) -> Images:
    """The columns that have ink."""
    columns = np.flatnonzero(digit.any(axis=0))
    return digit[:, columns[0] : columns[-1] + 1] if len(columns) else digit


def _noise(count: int, _digits: Images, generator: np.random.Generator) -> Images:
    """Uniform and Gaussian in turn, two of every four in a digit's frame."""
    uniform = generator.random((count, IMAGE_SIDE, IMAGE_SIDE))
    # A mean of 0 makes single bright pixels on black; a mean of 0.5 makes grey.
    gaussian = generator.normal(generator.uniform(0.0, 0.5, (count, 1, 1)), 0.4, uniform.shape)
    noise = np.where(_turn(count, 2)[:, np.newaxis, np.newaxis] == 0, uniform, gaussian)
    return _half_framed(np.clip(noise, 0.0, 1.0), kinds=2)


def _textures(count: int, _digits: Images, generator: np.random.Generator) -> Images:
    """Stripes, checks, gradients and blobs in turn, four of every eight in a digit's frame."""
    centred = np.arange(IMAGE_SIDE) - (IMAGE_SIDE - 1) / 2
    angle = generator.uniform(0.0, 2 * np.pi, (count, 1, 1))
    along = centred * np.cos(angle) + centred[:, np.newaxis] * np.sin(angle)
    across = centred[:, np.newaxis] * np.cos(angle) - centred * np.sin(angle)
    scale = _SCALES[0] * (_SCALES[1] / _SCALES[0]) ** generator.random((count, 1, 1))
    phase = generator.uniform(0.0, 2.0, (2, count, 1, 1))
    stripes = np.floor(along / scale + phase[0]) % 2
    checks = (np.floor(along / scale + phase[0]) + np.floor(across / scale + phase[1])) % 2
    gradients = along / (IMAGE_SIDE * np.sqrt(2)) + 0.5
    kinds = np.stack([stripes, checks, gradients, _blobs(scale, generator)])
    contrast = generator.uniform(0.4, 1.0, (count, 1, 1))
    return _half_framed(kinds[_turn(count, 4), np.arange(count)] * contrast, kinds=4)


def _blobs(scale: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Clouds whose hills are about `scale` pixels [N, 1, 1] long: float64 [N, 28, 28] in 0 to 1."""
    frequency = np.fft.fftfreq(IMAGE_SIDE)
    squared = frequency**2 + frequency[:, np.newaxis] ** 2
    noise = np.fft.fft2(generator.normal(size=(len(scale), IMAGE_SIDE, IMAGE_SIDE)))
    hills = np.fft.ifft2(noise * np.exp(-2 * squared * scale**2)).real
    low, high = hills.min(axis=(1, 2), keepdims=True), hills.max(axis=(1, 2), keepdims=True)
    return np.asarray((hills - low) / (high - low))


def _turn(count: int, kinds: int) -> NDArray[np.intp]:
    return np.arange(count) % kinds


def _half_framed(pictures: NDArray[np.float64], kinds: int) -> Images:
    """Keeps every other round of the kinds whole; crops the rest to the middle and frames it like a digit."""
    images = np.rint(pictures * 255).astype(np.uint8)
    edge = (IMAGE_SIDE - INK_SIDE) // 2
    for index in np.flatnonzero(np.arange(len(pictures)) // kinds % 2):
        images[index] = frame(pictures[index, edge:-edge, edge:-edge])
    return images


def _scribbles(count: int, _digits: Images, generator: np.random.Generator) -> Images:
    """Tangles of one to three smooth strokes."""
    return _stacked([frame(_scribble(int(generator.integers(1, 4)), generator)) for _ in range(count)])


def _scribble(strokes: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Strokes that swing at several frequencies at once: ink float32 [H, W] in 0 to 1."""
    page = Image.new("L", (_SCRIBBLE_SIDE, _SCRIBBLE_SIDE))
    pen = ImageDraw.Draw(page)
    width = int(generator.integers(*_PEN_PIXELS))
    pace = np.arange(1, _HARMONICS + 1)[:, np.newaxis]
    # The more strokes, the shorter each may be and still make a tangle.
    times = np.linspace(0.0, 2.0 / strokes, 200)
    for _ in range(strokes):
        swing = generator.normal(size=(2, _HARMONICS, 1)) / pace**0.5
        phase = generator.uniform(0, 2, (2, _HARMONICS, 1))
        path = (swing * np.sin(np.pi * (pace * times + phase))).sum(axis=1)
        reach = np.abs(path).max()
        path = (path / reach * (0.5 - width / _SCRIBBLE_SIDE) + 0.5) * _SCRIBBLE_SIDE
        pen.line([(float(x), float(y)) for x, y in path.T], fill=255, width=width, joint="curve")
    return np.asarray(page, np.float32) / np.float32(255)


def _stacked(images: Sequence[Images]) -> Images:
    return np.stack(images) if images else np.zeros((0, IMAGE_SIDE, IMAGE_SIDE), np.uint8)


NON_DIGITS: Mapping[str, NonDigits] = {
    "letters": _letters,
    "words": _words,
    "two_digits": _two_digits,
    "noise": _noise,
    "textures": _textures,
    "scribbles": _scribbles,
}
