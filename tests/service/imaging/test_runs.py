import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from service.imaging.runs import thin_runs

Mask = NDArray[np.bool_]
MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=24), elements=st.booleans())


def long_runs(row: list[bool], least: int, bridged: int) -> list[bool]:
    """Find the long runs of one row, pixel by pixel."""
    kept = [False] * len(row)
    inked = [place for place, ink in enumerate(row) if ink]
    while inked:
        run = [inked.pop(0)]
        while inked and inked[0] - run[-1] <= bridged + 1:
            run.append(inked.pop(0))
        if run[-1] - run[0] + 1 >= least:
            kept[run[0] : run[-1] + 1] = [True] * (run[-1] - run[0] + 1)
    return kept


@given(MASKS, st.integers(1, 6), st.integers(1, 9), st.integers(0, 3))
def test_runs_are_those_found_pixel_by_pixel(mask: Mask, thickest: int, least: int, bridged: int) -> None:
    """Thick upright runs go first; then the runs across that are long enough stay, their small gaps filled."""
    thick = np.array([long_runs(column, thickest + 1, 0) for column in mask.T.tolist()]).T
    thin = mask & ~thick

    expected = [long_runs(row, least, bridged) for row in thin.tolist()]

    assert np.array_equal(thin_runs(mask, thickest, least, bridged), expected)


def test_a_run_ends_with_its_row() -> None:
    """Ink at the end of a row and at the beginning of the next one is two runs."""
    mask = np.zeros((2, 10), dtype=np.bool_)
    mask[0, 5:] = mask[1, :5] = True

    assert not thin_runs(mask, 3, 6, 3).any()
    assert np.array_equal(thin_runs(mask, 3, 5, 3), mask)
