"""Digits itself as a contender: the released model, published in the usual way, served from its own store."""

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import requests
from benchmarks.contenders import Contender, Load
from benchmarks.machine import cores
from service.versions.golden import GoldenImages, read_golden

_ROOT = Path(__file__).parents[1]
_SINGLE = (1, 8, 32, 64, 128)
_BULK = (1, 4)
_BULK_ROWS = 1000
_BUILDERS = (requests.json_image, requests.octet_image)
_PACKAGES = ("ai-edge-litert", "fastapi", "httptools", "numpy", "pydantic", "uvicorn", "uvloop")


@dataclass(frozen=True)
class Released:
    """The released model in a model store below `folder`, which is the benchmark's own."""

    folder: Path

    @property
    def store(self) -> Path:
        """The model store."""
        return self.folder / "models"

    @property
    def version(self) -> Path:
        """The SavedModel's folder."""
        return self.store / "digits" / "1"

    @property
    def cache(self) -> Path:
        """Where the service keeps its compiled program."""
        return self.folder / "programs"

    def publish(self) -> GoldenImages:
        """Publish the released model unless it is there already; give its golden images."""
        command = [sys.executable, "-m", "trainer", "release", "--store", str(self.store)]
        subprocess.run(command, cwd=_ROOT, check=True, stdout=subprocess.DEVNULL, timeout=120)  # noqa: S603
        return read_golden(self.version)

    def program(self) -> Path:
        """The compiled program, made by the service when it first serves."""
        return next(self.cache.glob("*.tflite"))


def digits(released: Released, loads: tuple[Load, ...]) -> Contender:
    """The service, with a worker for each core unless `DIGITS_WORKERS` says otherwise."""
    workers = os.environ.get("DIGITS_WORKERS", str(cores()))
    return Contender(
        name="digits",
        title="Digits",
        command=(sys.executable, "-m", "service"),
        environment={
            "DIGITS_MODEL_STORE": str(released.store),
            "DIGITS_CACHE": str(released.cache),
            "DIGITS_PORT": "{port}",
            "DIGITS_WORKERS": workers,
            "DIGITS_DRAIN_SECONDS": "0",
        },
        folder=_ROOT,
        builders=_BUILDERS,
        probabilities_at=("predictions", 0, "probabilities"),
        loads=loads,
        packages=_PACKAGES,
        settings=f"DIGITS_WORKERS={workers}",
    )


def without(title: str, off: Iterable[str], released: Released, loads: tuple[Load, ...]) -> Contender:
    """The service with parts of it switched off."""
    whole = digits(released, loads)
    workers = whole.environment["DIGITS_WORKERS"]
    command = (sys.executable, "-m", "benchmarks.parts", "{port}", workers, *off)
    return replace(whole, name="-".join(["without", *off]), title=title, command=command)


def bare(released: Released, loads: tuple[Load, ...]) -> Contender:
    """The bare endpoint, with as many processes as cores."""
    return Contender(
        name="bare",
        title="Bare endpoint",
        command=(sys.executable, "-m", "benchmarks.bare", str(released.program()), "{port}", str(cores())),
        folder=_ROOT,
        builders=_BUILDERS,
        probabilities_at=("probabilities",),
        loads=loads,
        packages=_PACKAGES,
        settings=f"{cores()} processes",
    )


def all_loads(golden: GoldenImages) -> tuple[Load, ...]:
    """Each kind of body: single images at 1 to 128 connections, a thousand at once at 1 and 4."""
    row = golden.pixels[0]
    many = golden.pixels[[at % len(golden.pixels) for at in range(_BULK_ROWS)]]
    singles = [requests.json_image(row), requests.octet_image(row), requests.png(row), requests.multipart(row)]
    bulks = [requests.octets(many), requests.json_bulk(many)]
    return (*(Load(one, _SINGLE) for one in singles), *(Load(bulk, _BULK) for bulk in bulks))


def single_loads(golden: GoldenImages, connections: tuple[int, ...]) -> tuple[Load, ...]:
    """One image as JSON and as octet-stream."""
    row = golden.pixels[0]
    singles = (requests.json_image(row), requests.octet_image(row))
    return tuple(Load(single, connections) for single in singles)
