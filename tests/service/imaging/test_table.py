import numpy as np
import pytest
from numpy.typing import NDArray

from service.imaging.table import sheet_in


def empty() -> NDArray[np.bool_]:
    return np.zeros((96, 128), dtype=np.bool_)


@pytest.mark.parametrize(("top", "left", "bottom", "right"), [(10, 12, 80, 110), (0, 20, 96, 128), (15, 0, 96, 100)])
def test_the_sheet_is_what_the_table_leaves(top: int, left: int, bottom: int, right: int) -> None:
    """Ink along one to four sides is a table; the sheet is inside of it, without the soft edge."""
    mask = ~empty()
    mask[top:bottom, left:right] = False
    mask[40:60, 60:65] = True  # a digit

    sheet = sheet_in(mask)

    assert sheet is not None
    assert sheet == pytest.approx((top, left, bottom, right), abs=2)
    assert not mask[sheet[0], sheet[1] : sheet[3]].any()


def test_a_digit_that_touches_the_rim_is_no_table() -> None:
    """A stroke from edge to edge touches only a little of the rim."""
    mask = empty()
    mask[:, 60:70] = True

    assert sheet_in(mask) is None


def test_a_digit_cropped_to_its_edges_is_no_table() -> None:
    """The bar of a seven lies along the rim, but no sheet is left inside of the seven."""
    mask = empty()
    mask[:8] = True
    for row in range(96):
        mask[row, 120 - row : 128 - row] = True
    mask[88:] = True

    sheet = sheet_in(mask)

    assert sheet is None or not mask[sheet[0] : sheet[2], sheet[1] : sheet[3]].all()


def test_a_piece_of_a_thick_stroke_is_no_sheet() -> None:
    """Paper around a thick digit touches the rim as a table does, but no box without paper holds most of the digit."""
    mask = ~empty()
    for row in range(96):
        mask[row, max(40 - row, 0) : 128 - row] = False

    assert sheet_in(mask) is None


@pytest.mark.parametrize("width", [2, 3, 5])
def test_a_strip_of_a_few_pixels_is_no_sheet(width: int) -> None:
    """Between tables on both sides, only the sheet's soft edge is left."""
    mask = np.ones((96, 8), dtype=np.bool_)
    mask[:, 1 : 1 + width] = False
    sheet = sheet_in(mask)

    assert sheet is None or (sheet[0] < sheet[2] and sheet[1] < sheet[3])
    assert (sheet is None) == (width < 5)
