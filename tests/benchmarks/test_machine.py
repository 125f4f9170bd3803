import platform

import pytest

from benchmarks.machine import processor


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx avx2 fma", "EPYC with AVX2"), ("avx2 avx512f", "EPYC with AVX-512"), ("fpu sse2", "EPYC")],
)
def test_a_processor_is_told_with_its_widest_vectors(flags: str, expected: str) -> None:
    """Machines with the same processor name may run the network at half or twice the speed."""
    assert processor(f"processor\t: 0\nmodel name\t: EPYC\nflags\t\t: {flags}\n") == expected


def test_a_processor_without_a_name_is_told_by_its_kind() -> None:
    """As on Arm."""
    assert processor("processor\t: 0\n") == platform.machine()
