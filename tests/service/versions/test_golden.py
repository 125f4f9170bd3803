import io
import struct
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.versions.golden import GOLDEN_TOLERANCE, GoldenImages, read_golden
from service.versions.manifest import GOLDEN_PATH, VersionRejected
from tests.service.failing import fail, needs_a_failing_file, no_descriptors
from tests.service.fakes import FirstPixelEngine, row_of

PIXELS = np.stack([row_of(digit) for digit in range(10)])
PROBABILITIES = FirstPixelEngine().run(PIXELS)
GOLDEN = GoldenImages(PIXELS, PROBABILITIES)
SCORES = PIXELS[:, 1]
OUTPUTS = FirstPixelEngine(tells_is_digit=True).run(PIXELS)


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """A version's folder with the golden images of `FirstPixelEngine`."""
    (tmp_path / "assets.extra").mkdir()
    return with_golden(tmp_path, pixels=PIXELS, probabilities=PROBABILITIES)


def with_golden(version: Path, **arrays: Any) -> Path:
    """The version with other golden images."""
    np.savez_compressed(version / GOLDEN_PATH, **arrays)
    return version


def answering(probabilities: NDArray[np.float32]) -> Any:
    """An engine's run that answers this, whatever it is asked."""
    return lambda _: probabilities


def test_golden_images_are_read_as_they_were_written(version: Path) -> None:
    """Pixels and probabilities come back bit for bit."""
    golden = read_golden(version)

    np.testing.assert_array_equal(golden.pixels, PIXELS)
    np.testing.assert_array_equal(golden.probabilities, PROBABILITIES)


@pytest.mark.parametrize(
    "arrays",
    [
        {"pixels": PIXELS},
        {"probabilities": PROBABILITIES},
        {"pixels": PIXELS.astype(np.float64), "probabilities": PROBABILITIES},
        {"pixels": PIXELS, "probabilities": PROBABILITIES.astype(np.float64)},
        {"pixels": PIXELS[:, :783], "probabilities": PROBABILITIES},
        {"pixels": PIXELS.reshape(10, 28, 28), "probabilities": PROBABILITIES},
        {"pixels": PIXELS, "probabilities": PROBABILITIES[:9]},
        {"pixels": PIXELS[:0], "probabilities": PROBABILITIES[:0]},
        {"pixels": np.array([{}]), "probabilities": PROBABILITIES},
        {"pixels": PIXELS, "probabilities": PROBABILITIES, "is_digit": SCORES[:9]},
        {"pixels": PIXELS, "probabilities": PROBABILITIES, "is_digit": SCORES.astype(np.float64)},
        {"pixels": PIXELS, "probabilities": PROBABILITIES, "is_digit": SCORES * np.float32(np.nan)},
    ],
    ids=[
        *("no probabilities", "no pixels", "float64 pixels", "float64 probabilities", "783 pixels"),
        *("three axes", "too few answers", "no images", "pickled objects"),
        *("too few scores", "float64 scores", "scores that are no numbers"),
    ],
)
def test_other_arrays_are_rejected(version: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """A file with other arrays than the contract's is rejected, and the reason names its path."""
    with pytest.raises(VersionRejected, match=GOLDEN_PATH):
        read_golden(with_golden(version, **arrays))


def test_a_missing_file_is_rejected(version: Path) -> None:
    """Without golden images nothing proves the version."""
    (version / GOLDEN_PATH).unlink()

    with pytest.raises(VersionRejected, match=f"{GOLDEN_PATH} cannot be read"):
        read_golden(version)


@needs_a_failing_file
def test_a_disk_that_fails_is_no_damaged_archive(version: Path) -> None:
    """A file that the disk fails to read says nothing about the version."""
    fail(version / GOLDEN_PATH)

    with pytest.raises(OSError, match="Input/output error"):
        read_golden(version)


def test_a_process_without_descriptors_finds_no_golden_images_bad(version: Path) -> None:
    """Too many open files say nothing about the version, either."""
    with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
        read_golden(version)


def test_a_single_array_in_place_of_an_archive_is_rejected(version: Path) -> None:
    """NumPy also opens .npy content under any name; that is no archive of two arrays."""
    with (version / GOLDEN_PATH).open("wb") as file:
        np.save(file, PIXELS)

    with pytest.raises(VersionRejected, match=GOLDEN_PATH):
        read_golden(version)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("stated_bytes", [None, 1000])
def test_a_small_file_that_unpacks_to_a_large_one_is_rejected(
    version: Path, compression: int, stated_bytes: int | None
) -> None:
    """A megabyte of zeros packs into a kilobyte: only what golden images need is unpacked, whatever size is stated."""
    with zipfile.ZipFile(version / GOLDEN_PATH, "w", compression) as archive:
        for name in ("pixels.npy", "probabilities.npy"):
            archive.writestr(name, bytes(64 * 1024**2))
    if stated_bytes is not None:
        content = (version / GOLDEN_PATH).read_bytes()
        (version / GOLDEN_PATH).write_bytes(content.replace(struct.pack("<I", 64 * 1024**2), struct.pack("<I", 1000)))

    tracemalloc.start()
    with pytest.raises(VersionRejected, match=f"{GOLDEN_PATH} cannot be read"):
        read_golden(version)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most_bytes < 16 * 1024**2


def test_a_header_that_promises_much_takes_no_memory(version: Path) -> None:
    """An array of terabytes that has only a header is the version's fault, not a lack of memory."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 784)})
    with zipfile.ZipFile(version / GOLDEN_PATH, "w") as archive:
        archive.writestr("pixels.npy", header.getvalue())
    with pytest.raises(VersionRejected, match="pixels has another size than its header says"):
        read_golden(version)


def test_a_large_file_is_not_read(version: Path) -> None:
    """No golden images of ours are that large."""
    (version / GOLDEN_PATH).write_bytes(bytes(64 * 1024**2))

    with pytest.raises(VersionRejected, match=f"{GOLDEN_PATH} cannot be read: it is larger than 4194304 bytes"):
        read_golden(version)


def test_more_images_than_ours_are_read(version: Path) -> None:
    """A thousand golden images are many, but no zip bomb, however they are packed."""
    pixels = np.repeat(PIXELS, 100, axis=0)
    np.savez(version / GOLDEN_PATH, pixels=pixels, probabilities=FirstPixelEngine().run(pixels))

    assert len(read_golden(version).pixels) == 1000


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_cut_anywhere_is_rejected(version: Path, data: st.DataObject) -> None:
    """However little of the file is left, an empty file included, the version is rejected with a reason."""
    with_golden(version, pixels=PIXELS, probabilities=PROBABILITIES)
    whole = (version / GOLDEN_PATH).read_bytes()
    kept = data.draw(st.integers(min_value=0, max_value=len(whole) - 1))
    (version / GOLDEN_PATH).write_bytes(whole[:kept])

    with pytest.raises(VersionRejected, match=GOLDEN_PATH):
        read_golden(version)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(min_value=0), bits=st.integers(min_value=1, max_value=255))
def test_a_damaged_file_is_rejected_or_read(version: Path, at: int, bits: int) -> None:
    """Whatever byte of the file is wrong, there is a reason and no crash."""
    with_golden(version, pixels=PIXELS, probabilities=PROBABILITIES)
    content = bytearray((version / GOLDEN_PATH).read_bytes())
    content[at % len(content)] ^= bits
    (version / GOLDEN_PATH).write_bytes(content)

    try:
        golden = read_golden(version)
    except VersionRejected as error:
        assert GOLDEN_PATH in str(error)  # noqa: PT017 - a flip in the archive's padding may also go unnoticed
    else:
        assert golden.pixels.shape == PIXELS.shape


def test_the_same_answers_pass() -> None:
    """An engine that computes what the trainer saw may serve."""
    GOLDEN.check(FirstPixelEngine().run, "the engine")


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_difference_within_the_tolerance_passes(sign: int) -> None:
    """Other processors round differently."""
    close = PROBABILITIES.copy()
    close[3, 4] += np.float32(sign * GOLDEN_TOLERANCE * 0.9)

    GOLDEN.check(answering(close), "the engine")


@pytest.mark.parametrize("sign", [-1, 1])
@settings(max_examples=20)
@given(row=st.integers(0, 9), column=st.integers(0, 9))
def test_one_probability_too_far_away_is_rejected(sign: int, row: int, column: int) -> None:
    """A single probability of a single image decides, and the reason has the figures."""
    away = PROBABILITIES.copy()
    away[row, column] += np.float32(sign * GOLDEN_TOLERANCE * 1.1)

    with pytest.raises(VersionRejected, match=r"the engine differs .* by 0\.00011, more than 0\.0001"):
        GOLDEN.check(answering(away), "the engine")


def test_a_narrower_tolerance_holds() -> None:
    """The compiled program is compared more strictly than the trainer's machine."""
    away = PROBABILITIES + np.float32(5e-5)

    GOLDEN.check(answering(away), "the program")
    with pytest.raises(VersionRejected, match="the program differs"):
        GOLDEN.check(answering(away), "the program", tolerance=1e-5)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_answers_that_are_no_numbers_are_rejected(wrong: float) -> None:
    """NaN compares as not larger than anything; it must not slip through."""
    broken = PROBABILITIES.copy()
    broken[0, 0] = wrong

    with pytest.raises(VersionRejected, match="NaN or infinity"):
        GOLDEN.check(answering(broken), "the engine")


def test_answers_of_another_shape_are_rejected() -> None:
    """One answer too few could otherwise be broadcast."""
    with pytest.raises(VersionRejected, match=r"shape \(1, 10\), not \(10, 10\)"):
        GOLDEN.check(answering(PROBABILITIES[:1]), "the engine")


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_expected_answers_that_are_no_numbers_prove_nothing(version: Path, wrong: float) -> None:
    """A version whose own golden probabilities are NaN is rejected, because every engine would pass."""
    broken = PROBABILITIES.copy()
    broken[0, 0] = wrong
    with_golden(version, pixels=PIXELS, probabilities=broken)

    with pytest.raises(VersionRejected):
        read_golden(version).check(FirstPixelEngine().run, "the engine")


@pytest.mark.parametrize("scores", [SCORES, None])
def test_scores_are_checked_where_there_are_some(version: Path, scores: NDArray[np.float32] | None) -> None:
    """Golden scores are read and hold within the tolerance; without them any finite score passes."""
    golden = read_golden(with_golden(version, **_arrays(scores)))
    away = OUTPUTS.copy()
    away[3, 10] += np.float32(GOLDEN_TOLERANCE * 1.1)

    golden.check(answering(OUTPUTS), "the engine", tells_is_digit=True)
    if scores is None:
        golden.check(answering(away), "the engine", tells_is_digit=True)
    else:
        with pytest.raises(VersionRejected, match=r"the engine differs from the golden images' is_digit by 0\.00011"):
            golden.check(answering(away), "the engine", tells_is_digit=True)


def test_a_score_that_is_no_number_is_rejected() -> None:
    """It is rejected even if there is no golden score to compare it with."""
    broken = OUTPUTS.copy()
    broken[3, 10] = np.nan

    with pytest.raises(VersionRejected, match="NaN or infinity"):
        GOLDEN.check(answering(broken), "the engine", tells_is_digit=True)


@pytest.mark.parametrize(
    ("golden", "outputs", "tells_is_digit", "reason"),
    [
        (GOLDEN, PROBABILITIES, True, "states is_digit_threshold, but the engine has no output is_digit"),
        (GOLDEN, OUTPUTS, False, "the engine has the output is_digit, but the manifest states no is_digit_threshold"),
        (replace(GOLDEN, is_digit=SCORES), PROBABILITIES, False, "npz holds is_digit, but the manifest states no"),
        (GOLDEN, OUTPUTS[:1], True, r"shape \(1, 11\), not \(10, 11\)"),
    ],
    ids=["no output", "no threshold", "only golden scores", "too few answers"],
)
def test_outputs_are_those_that_the_manifest_says(
    golden: GoldenImages, outputs: NDArray[np.float32], *, tells_is_digit: bool, reason: str
) -> None:
    """A threshold without a score, and a score without a threshold, are each rejected with the reason."""
    with pytest.raises(VersionRejected, match=reason):
        golden.check(answering(outputs), "the engine", tells_is_digit=tells_is_digit)


def _arrays(scores: NDArray[np.float32] | None) -> dict[str, NDArray[np.float32]]:
    return {"pixels": PIXELS, "probabilities": PROBABILITIES} | ({} if scores is None else {"is_digit": scores})
