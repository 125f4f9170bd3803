"""Environments of the peers: each peer's packages at the versions its requirements.txt names, apart from the project's.

uv links packages that several of them share, TensorFlow above all, instead of copying them: 2 GB in all, not 8.
"""

import subprocess
import sys
from pathlib import Path

from benchmarks.processes import ServerError

_INSTALL_SECONDS = 1200


class Environments:
    """Virtual environments below `folder`, one for each peer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def programs_of(self, name: str, requirements: Path) -> Path:
        """Build the environment `name`, if it is missing or made from other requirements; give its programs' folder.

        Raises:
            ServerError: It cannot be installed here.
        """
        environment = self._folder / name
        wanted = requirements.read_text()
        installed = environment / "installed.txt"
        if not installed.exists() or installed.read_text() != wanted:
            uv = self._uv()
            _run([str(uv), "venv", "--clear", "--python", sys.executable, str(environment)])
            python = environment / "bin" / "python"
            _run([str(uv), "pip", "install", "--python", str(python), "--requirement", str(requirements)])
            installed.write_text(wanted)
        return environment / "bin"

    def _uv(self) -> Path:
        uv = self._folder / "uv" / "bin" / "uv"
        if not uv.exists():
            _run([sys.executable, "-m", "venv", str(self._folder / "uv")])
            _run([str(uv.parent / "pip"), "install", "--quiet", "uv"])
        return uv


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_SECONDS)  # noqa: S603
    except subprocess.CalledProcessError as error:
        msg = f"it cannot be installed here: {' '.join(error.stderr.split())[-400:]}"
        raise ServerError(msg) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"it cannot be installed here: {error}"
        raise ServerError(msg) from error
