"""What the images consist of: the packages of requirements.lock, in its versions."""

import json
import platform
import re
import subprocess
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.container

_REPOSITORY = Path(__file__).parents[2]
_BUILD_SECONDS = 2400


@pytest.mark.parametrize(("image", "package"), [("service", "fastapi"), ("trainer", "typer")])
def test_sbom_names_what_the_lock_pins(tmp_path: Path, image: str, package: str) -> None:
    """Each image's bill of materials names TensorFlow and the image's own packages, all with the lock's versions."""
    _build("--target", "sbom", "--output", str(tmp_path))
    bill = json.loads((tmp_path / f"{image}.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    installed = {canonicalize_name(component["name"]): component["version"] for component in bill["components"]}
    del installed[canonicalize_name("digits")]
    lock = (_REPOSITORY / "requirements.lock").read_text()
    pins = re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE)
    pinned = {canonicalize_name(name): version for name, version in pins}
    tensorflow = "tensorflow-cpu" if platform.machine() == "x86_64" else "tensorflow"
    assert {tensorflow, package} <= installed.keys()
    assert installed.items() <= pinned.items()


def _build(*arguments: str) -> None:
    done = subprocess.run(
        ["docker", "build", "--quiet", "--file", "deploy/Dockerfile", *arguments, "."],
        cwd=_REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=_BUILD_SECONDS,
    )
    assert done.returncode == 0, done.stderr[-4000:]
