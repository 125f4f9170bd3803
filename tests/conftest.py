"""Fixtures for the tests of several packages: the released model, published and compiled once for the whole run."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes depends on the machine.
settings.register_profile("digits", deadline=None)
settings.load_profile("digits")


@pytest.fixture(scope="session")
def released_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model store with the released model as version 1, published by the real command; don't change it."""
    store = tmp_path_factory.mktemp("released")
    _run("trainer", "release", "--store", str(store))
    return store


@pytest.fixture(scope="session")
def program_cache(released_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program cache that holds the released model's program, made by the real command; don't change it."""
    cache = tmp_path_factory.mktemp("programs")
    _run("service.prepare", str(released_store / "digits" / "1"), str(cache))
    return cache


@pytest.fixture(scope="session")
def released_program(program_cache: Path) -> Path:
    """The released model's compiled program."""
    (program,) = program_cache.glob("*.tflite")
    return program


def _run(module: str, *arguments: str) -> None:
    # Seconds on an idle machine; the limit is for a busy one.
    subprocess.run([sys.executable, "-m", module, *arguments], check=True, capture_output=True, timeout=600)
