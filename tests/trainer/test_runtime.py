"""The precision follows the processor."""

from pathlib import Path

import pytest

from trainer.runtime import training_precision


@pytest.mark.parametrize(
    ("flags", "precision"),
    [("fpu avx2 avx512_bf16 sse", "mixed_bfloat16"), ("fpu avx2 avx512f", "float32")],
)
def test_precision_follows_the_flags(tmp_path: Path, flags: str, precision: str) -> None:
    """bfloat16 is used only on a processor that says it multiplies it."""
    (tmp_path / "cpuinfo").write_text(f"flags\t: {flags}\n")
    assert training_precision(tmp_path / "cpuinfo") == precision


def test_unknown_processor_trains_in_float32(tmp_path: Path) -> None:
    """Without /proc/cpuinfo the safe choice is made."""
    assert training_precision(tmp_path / "cpuinfo") == "float32"
