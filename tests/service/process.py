"""The service as a process of its own, started as an operator would."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import IO

import httpx

READY_SECONDS = 120.0


class Process:
    """`python -m service` as an operator would start it, on a free port; its log goes to a file or is dropped.

    `program`, Python source, is run in its place if given.
    """

    def __init__(
        self, store: Path, cache: Path, log: Path = Path(os.devnull), /, program: str | None = None, **environment: str
    ) -> None:
        with log.open("ab") as stderr:
            self.process = self._start(store, cache, stderr, program, environment)
        assert self.process.stdout is not None
        first_line = self.process.stdout.readline()
        address = re.search(r"http://[0-9.]+:[0-9]+", first_line)
        assert address, first_line
        self.client = httpx.Client(base_url=address.group(), timeout=20)

    @staticmethod
    def _start(
        store: Path, cache: Path, stderr: IO[bytes], program: str | None, environment: dict[str, str]
    ) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, *(["-m", "service"] if program is None else ["-c", program])],
            env={
                **os.environ,
                "DIGITS_MODEL_STORE": str(store),
                "DIGITS_CACHE": str(cache),
                "DIGITS_PORT": "0",
                "DIGITS_POLL_SECONDS": "0.1",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def ready(self) -> bool:
        return self.client.get("/health/ready").status_code == 200

    def predict(self) -> httpx.Response:
        return self.client.post("/v1/predict", content=bytes(784), headers={"Content-Type": "application/octet-stream"})

    def workers(self) -> list[int]:
        """The ids of its child processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def close(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.communicate()
