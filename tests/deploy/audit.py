"""`python -m tests.deploy.audit LOCK...`: known weaknesses of locked packages; `make audit` runs it with pip-audit.

pip-audit alone calls a list clean even if it could ask about none of its packages, as behind a mirror that only has
files. Here such packages are listed; they are no failure, because nothing is known about them.
"""

import json
import subprocess
import sys
from typing import Any

_OPTIONS = ("--disable-pip", "--require-hashes", "--progress-spinner=off", "--format=json", "--desc=off")
# A hundred requests of a few tenths of a second each.
_LONGEST_SECONDS = 600.0


def main() -> int:
    """Audit each list, and print the accounts; 1 if a package has a known weakness."""
    codes = []
    for lock in sys.argv[1:]:
        text, code = _ask(lock)
        sys.stdout.write(f"{lock}: {text}\n")
        codes.append(code)
    return max(codes)


def _ask(lock: str) -> tuple[str, int]:
    command = [sys.executable, "-m", "pip_audit", *_OPTIONS, f"--requirement={lock}"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        return account("", f"it took longer than {_LONGEST_SECONDS:g} seconds")
    return account(ended.stdout, ended.stderr)


def account(output: str, errors: str) -> tuple[str, int]:
    """Sum up pip-audit's output and errors; with it 1 if a package has a known weakness, else 0."""
    try:
        packages = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        lines = errors.strip().splitlines() or ["pip-audit said nothing"]
        return f"NOT AUDITED, nothing is known: {lines[-1]}", 0
    skipped = [package for package in packages if "skip_reason" in package]
    affected = [package for package in packages if package.get("vulns")]
    lines = [_known(package) for package in affected]
    if skipped:
        names = ", ".join(package["name"] for package in skipped)
        lines.append(f"NOT AUDITED, nothing is known of: {names} ({skipped[0]['skip_reason']})")
    asked = len(packages) - len(skipped)
    lines.append(f"{asked} of {len(packages)} packages were asked about; with known weaknesses: {len(affected)}")
    return "\n".join(lines), int(bool(affected))


def _known(package: dict[str, Any]) -> str:
    found = [f"{each['id']} (mended in {', '.join(each['fix_versions']) or 'none'})" for each in package["vulns"]]
    return f"{package['name']} {package['version']}: {'; '.join(found)}"


if __name__ == "__main__":
    sys.exit(main())
