"""`python -m tests.fuzz`: generate bytes that reach ever more of the code; a crash, a hang or a leak ends with 1.

Each target runs in its own process, because libFuzzer ends the process that it runs in. The inputs that it has found
stay in build/fuzz/corpus; `--keep` keeps a few of them for good. A failing input is left beside that folder:
`python -m tests.fuzz TARGET --input FILE` runs it again.
"""

import argparse
import ctypes
import gc
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

_FOLDER = Path(__file__).parents[2] / "build" / "fuzz"
_INPUT_SECONDS = 1.0
_GROWTH_BYTES = 64 * 1024 * 1024
# After this many inputs caches and seeds are in memory. Growth is measured from then on, each time as many have run.
_SETTLED_INPUTS = 2000
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Not imported from `targets`: the fuzzing process must instrument the code as it imports it.
TARGETS = ("arrays", "forms", "pictures", "lines")


def main() -> int:
    """Fuzz the chosen targets one after the other; 0 if nothing was found."""
    options = _parse_arguments()
    if options.input:
        from tests.fuzz import targets

        targets.TARGETS[options.targets[0]](options.input.read_bytes())
        return 0
    if options.keep:
        from tests.fuzz.corpus import keep

        for target in options.targets or TARGETS:
            keep(target, _FOLDER / "corpus" / target)
        return 0
    if options.child:
        _fuzz(options.targets[0], options.seconds)
        return 0
    codes = []
    for target in options.targets or TARGETS:
        arguments = [target, "--child", "--seconds", str(options.seconds)]
        codes.append(subprocess.run([sys.executable, "-m", "tests.fuzz", *arguments], check=False).returncode)
        sys.stdout.write(f"{'pass' if codes[-1] == 0 else 'FAIL'}  {target}: {options.seconds} s\n")
    return 1 if any(codes) else 0


def _fuzz(name: str, seconds: int) -> None:
    """Fuzz one target for `seconds`; does not return."""
    import atheris
    from atheris.import_hook import HookManager

    warnings.filterwarnings("ignore", module="PIL")  # as the service does: Python remembers each text for ever
    # As atheris.instrument_imports does, but without watching comparisons: Atheris 3.0 keeps the arrays it compares.
    packages = {"service", "PIL", "starlette", "python_multipart"}
    with HookManager(packages, set(), enable_loader_override=True, trace_dataflow=False):
        from tests.fuzz import targets
        from tests.fuzz.corpus import kept
        from tests.fuzz.seeds import seeds
    corpus = _FOLDER / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate([*seeds(name), *kept(name)]):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = [f"-max_total_time={seconds}", "-max_len=16384", "-timeout=20", "-rss_limit_mb=2048"]
    atheris.Setup(
        [sys.argv[0], str(corpus), *limits, f"-artifact_prefix={_FOLDER}/{name}-"], Watched(targets.TARGETS[name])
    )
    atheris.Fuzz()


class Watched:
    """A target that fails when an input takes too long, or when memory has grown too much since it settled."""

    def __init__(self, target: Callable[[bytes], None]) -> None:
        self._target = target
        self._inputs = 0
        self._settled_bytes = 0

    def __call__(self, data: bytes) -> None:
        """Run one input.

        Raises:
            AssertionError: It took too long, or memory has grown.
        """
        started = time.process_time()  # not wall-clock time: other processes may have the CPU
        self._target(data)
        seconds = time.process_time() - started
        assert seconds <= _INPUT_SECONDS, f"{seconds:.1f} s"
        self._inputs += 1
        if self._inputs % _SETTLED_INPUTS == 0:
            self._check_growth()

    def _check_growth(self) -> None:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # free memory is no growth
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
        self._settled_bytes = self._settled_bytes or resident
        assert resident <= self._settled_bytes + _GROWTH_BYTES, f"{(resident - self._settled_bytes) / 2**20:.0f} MiB"


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"which of {', '.join(TARGETS)} (default: all)")
    parser.add_argument("--seconds", type=int, default=300, help="how long each is fuzzed (default %(default)s)")
    parser.add_argument("--input", type=Path, help="run one target on this file and end")
    parser.add_argument("--keep", action="store_true", help="choose anew which inputs tests/fuzz/corpus keeps, and end")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
