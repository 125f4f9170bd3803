"""docs/claims.md names tests that exist."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_claim_names_tests_that_exist() -> None:
    """Each row of the table names at least one test, and each named test is in the tree, once."""
    tests = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    defined = Counter(re.findall(r"^ *def (test_\w+)\(", tests, re.MULTILINE))
    lines = (ROOT / "docs/claims.md").read_text().partition("## Under load")[0].splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith(("| **", "| claim", "| ---"))]
    assert rows
    for row in rows:
        named = set(re.findall(r"`(test_\w+)`", row))
        assert named, row
        assert named <= defined.keys(), named - defined.keys()
        assert {name for name in named if defined[name] > 1} == set(), "which of them is meant?"
