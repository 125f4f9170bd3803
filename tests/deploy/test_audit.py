"""How `make audit` reads pip-audit's output."""

import json
from typing import Any

from tests.deploy.audit import account

CLEAN = {"name": "numpy", "version": "2.4.6", "vulns": []}
AFFECTED = {"name": "pillow", "version": "12.1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["12.2"], "aliases": []}]}
SKIPPED = {"name": "keras", "skip_reason": "Dependency not found on PyPI"}


def said(*packages: dict[str, Any]) -> tuple[str, int]:
    return account(json.dumps({"dependencies": packages, "fixes": []}), "No known vulnerabilities found")


def test_what_is_known_against_a_package_fails() -> None:
    """The package, its version, the weakness and the version that fixes it are named."""
    text, code = said(CLEAN, AFFECTED)
    assert "pillow 12.1.0: CVE-1 (mended in 12.2)" in text
    assert "2 of 2 packages were asked about; with known weaknesses: 1" in text
    assert code == 1
    assert said(CLEAN) == ("1 of 1 packages were asked about; with known weaknesses: 0", 0)


def test_what_could_not_be_asked_is_not_called_clean() -> None:
    """A mirror that does not know of weaknesses, or a missing answer, is reported but is no failure."""
    text, code = said(CLEAN, SKIPPED)
    assert text.startswith("NOT AUDITED, nothing is known of: keras (Dependency not found on PyPI)")
    assert "1 of 2 packages were asked about" in text
    assert code == 0
    assert said(SKIPPED, AFFECTED)[1] == 1
    assert account("", "Traceback\nConnectionError: refused\n") == (
        "NOT AUDITED, nothing is known: ConnectionError: refused",
        0,
    )
    assert account("", "") == ("NOT AUDITED, nothing is known: pip-audit said nothing", 0)
