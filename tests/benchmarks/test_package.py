"""How the benchmarks relate to the other packages."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(ROOT.glob("benchmarks/**/*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_module_says_what_it_is_for(module: Path) -> None:
    """Each module has a docstring that says what it is for."""
    assert ast.get_docstring(ast.parse(module.read_text()))


def test_nothing_that_serves_or_trains_needs_the_benchmarks() -> None:
    """The installed packages do not import the benchmarks."""
    for module in [*ROOT.glob("service/**/*.py"), *ROOT.glob("trainer/**/*.py")]:
        assert "benchmarks" not in module.read_text(), module
