"""Write errors name the file, whatever writes it: a machine may have several disks, and only one of them is full."""

import errno
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.made_up import epoch, full_findings
from trainer.data import scale
from trainer.export import GOLDEN_PATH, save_golden
from trainer.release import RELEASED_FOLDER
from trainer.reports.card import CARD_PATH, write_card
from trainer.reports.report import REPORT_PATH, write_report
from trainer.run import Checkpoint, Run
from trainer.training import METRICS_PATH, _write_beside
from trainer.versions.manifest import MANIFEST_PATH, read
from trainer.versions.store import ModelStore
from trainer.writing import written_to


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Limits each file to `size` bytes; to the code that writes it looks like a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def save_checkpoint(folder: Path) -> None:
    """Saves more weights than there is room for, with metrics that fit."""
    Run(folder).save(Checkpoint([], [np.zeros(10_000, np.float32)]))


def publish(folder: Path) -> None:
    """Publishes a version of no files."""
    ModelStore(folder.parent, folder.name).publish(folder, read(RELEASED_FOLDER))


def save_images(folder: Path) -> None:
    """Writes golden images."""
    findings = full_findings()
    save_golden(folder, scale(findings.images), findings.answers, findings.labels)


@pytest.mark.parametrize(
    ("write", "file"),
    [
        (save_checkpoint, Path("checkpoint.npz")),
        (lambda folder: Run(folder).note([epoch(1, 0.5)]), Path("metrics.jsonl")),
        (lambda folder: write_report(folder, full_findings()), REPORT_PATH),
        (lambda folder: write_card(folder, full_findings()), CARD_PATH),
        (save_images, GOLDEN_PATH),
        (publish, MANIFEST_PATH),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_full_disk_is_named(tmp_path: Path, write: Callable[[Path], None], file: Path) -> None:
    """The error names the file that did not fit."""
    with pytest.raises(OSError, match="File too large") as failure, room_for(8):
        write(tmp_path)
    assert failure.value.errno == errno.EFBIG
    named = Path(failure.value.filename)
    assert (named.parent, file.name in named.name) == ((tmp_path / file).parent, True)


def test_metrics_beside_a_version_are_named_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metrics are the last file that is written into a version before its manifest."""
    for name in ("write_report", "write_card"):
        monkeypatch.setattr(
            f"trainer.training.{name}", lambda folder, _: (folder / "assets.extra").mkdir(exist_ok=True)
        )
    with pytest.raises(OSError, match=METRICS_PATH.name), room_for(8):
        _write_beside(tmp_path, full_findings())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left"), r"No space left: 'here'$"),
        (OSError(errno.ENOSPC, "No space left", "there"), r"No space left: 'there'$"),
        (OSError("8 requested and 4 written"), r"^here can't be written to: 8 requested"),
        (ZeroDivisionError("of another library"), r"^here can't be written to: of another library"),
    ],
)
def test_place_is_told_once(error: Exception, said: str) -> None:
    """An error keeps the place that it names; one without a number or of another kind gets a sentence that names it."""
    with pytest.raises(OSError, match=said), written_to(Path("here"), ZeroDivisionError):
        raise error
