"""How the packages may depend on each other, read from their imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted([*ROOT.glob("service/**/*.py"), *ROOT.glob("trainer/**/*.py")])
FORBIDDEN_NAMES = {"utils", "helpers", "common", "core", "manager", "base"}


def imports_of(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name_of(module: Path) -> str:
    return ".".join(module.relative_to(ROOT).with_suffix("").parts)


def test_trainer_and_service_never_import_each_other() -> None:
    """The two packages share only the model store."""
    for module in MODULES:
        other = "service" if module.is_relative_to(ROOT / "trainer") else "trainer"
        crossing = [name for name in imports_of(module) if name.split(".")[0] == other]
        assert not crossing, name_of(module)


def test_imports_run_one_way() -> None:
    """Only `service.server` imports the app, and only the app imports routes."""
    for module in MODULES:
        found = set(imports_of(module))
        if name_of(module) != "service.server":
            assert "service.app" not in found, name_of(module)
        if name_of(module) != "service.app":
            assert not [name for name in found if name.startswith("service.routes.")], name_of(module)


def test_tensorflow_stays_where_it_belongs() -> None:
    """In the service only its TensorFlow engine and the preparing process import TensorFlow."""
    allowed = {"service.prepare", "service.engines.tensorflow"}
    for module in ROOT.glob("service/**/*.py"):
        if name_of(module) not in allowed:
            assert not [name for name in imports_of(module) if name.split(".")[0] in {"tensorflow", "keras"}]


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_module_says_what_it_is_for(module: Path) -> None:
    """Each module has a meaningful name and a docstring that says what it is for."""
    assert module.stem not in FORBIDDEN_NAMES
    assert ast.get_docstring(ast.parse(module.read_text()))


def test_every_test_states_a_behaviour() -> None:
    """Each test has a docstring that states what it shows."""
    for file in ROOT.glob("tests/**/test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert ast.get_docstring(node), f"{file.name}: {node.name}"
