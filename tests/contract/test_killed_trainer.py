import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from service.versions.manifest import read_manifest, verify_files
from service.versions.model_store import ModelStore

KILLS = 50
# Publishes as the trainer does, over and over: a kill at any instant hits some point of a publication.
PUBLISH_FOR_EVER = """
import shutil, sys
from pathlib import Path
from trainer.versions.manifest import read
from trainer.versions.store import ModelStore
source, store = Path(sys.argv[1]), ModelStore(Path(sys.argv[2]), "digits")
print(flush=True)
while True:
    with store.publication() as unfinished:
        shutil.copytree(source, unfinished, dirs_exist_ok=True)
        store.publish(unfinished, read(source))
"""


def test_a_killed_trainer_never_leaves_half_a_version(released_store: Path, tmp_path: Path) -> None:
    """A trainer that is killed at fifty random instants leaves only whole versions, and folders that nobody reads."""
    chance = random.Random(0)  # noqa: S311 - not a secret
    source, folder = released_store / "digits" / "1", tmp_path / "digits"
    folder.mkdir()
    versions, longest_seconds = 0, 0.06
    for _ in range(KILLS):
        command = [sys.executable, "-c", PUBLISH_FOR_EVER, str(source), str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as trainer:
            assert trainer.stdout is not None
            trainer.stdout.readline()
            time.sleep(chance.uniform(0.0, longest_seconds))
            os.kill(trainer.pid, signal.SIGKILL)
        for stored in ModelStore(tmp_path, "digits").look().versions:
            manifest, _ = read_manifest(stored.folder)
            verify_files(stored.folder, manifest)
            assert manifest.version == stored.number
            assert json.loads((stored.folder / "assets.extra/manifest.json").read_text())["name"] == "digits"
            versions += 1
            shutil.rmtree(stored.folder)
        if not versions:  # a slow disk: publishing one takes longer
            longest_seconds *= 1.2
    unfinished = [entry for entry in folder.iterdir() if entry.name.startswith(".publishing-")]
    assert versions >= 1
    assert len(unfinished) >= 1  # some were killed in the middle
