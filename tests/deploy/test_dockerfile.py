"""What deploy/Dockerfile must keep in step with the rest of the repository."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

_REPOSITORY = Path(__file__).parents[2]
_DOCKERFILE = (_REPOSITORY / "deploy/Dockerfile").read_text()
_PROJECT = tomllib.loads((_REPOSITORY / "pyproject.toml").read_text())["project"]


def test_python_is_one_the_project_supports() -> None:
    """All stages start from one Python image, whose version pyproject.toml allows."""
    versions = set(re.findall(r"^FROM python:([\d.]+)-slim-bookworm ", _DOCKERFILE, re.MULTILINE))
    assert len(versions) == 1
    assert versions.pop() in SpecifierSet(_PROJECT["requires-python"])


def test_compose_builds_targets_that_exist() -> None:
    """Every build target named in the Compose files is a stage, and none of them runs as root."""
    files = [(_REPOSITORY / name).read_text() for name in ("docker-compose.yml", "deploy/scale.yml")]
    targets = {target for file in files for target in re.findall(r"build: {.*\btarget: (\w+)}", file)}
    assert targets == {"trainer", "service", "proxy"}
    for target in targets:
        assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", _stage(target), re.MULTILINE)


@pytest.mark.parametrize("target", ["trainer", "service", "proxy"])
def test_image_says_what_it_is(target: str) -> None:
    """Each image has OCI's labels with the project's version; whoever builds it fills in source and revision."""
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]+)"', _stage(target)))
    assert labels.keys() == {"title", "description", "licenses", "version", "source", "revision"}
    assert labels["version"] == _PROJECT["version"]
    assert (labels["source"], labels["revision"]) == ("$SOURCE", "$REVISION")


def test_every_package_needs_a_hash() -> None:
    """No package comes from the index without a hash: in requirements.lock or, for pip, in the tool's own lock."""
    installs = re.findall(r"uv pip install ((?:[^\\\n]|\\\n)*)", _DOCKERFILE)
    assert installs
    for options in installs:
        from_the_lock = "--require-hashes" in options and "--constraints /packages/requirements.lock" in options
        assert from_the_lock or ("--no-deps" in options and "/wheel/" in options)
    tools = re.findall(r"^ +pip install (.+)$", _DOCKERFILE, re.MULTILINE)
    assert [re.findall(r"--require-hashes --requirement (\S+)$", options) for options in tools] == [
        ["requirements-uv.lock"],
        ["requirements-cyclonedx-bom.lock"],
    ]


def test_what_the_build_copies_reaches_it() -> None:
    """.dockerignore lets through exactly the files that are copied from the repository, and they exist."""
    allowed = {line[1:] for line in (_REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.+)$", _DOCKERFILE, re.MULTILINE) for name in line.split()[:-1]
    }
    assert copied == allowed
    assert all((_REPOSITORY / name).exists() for name in copied)


def _stage(target: str) -> str:
    """The Dockerfile's instructions in the stage of that name."""
    stage = re.search(rf"^FROM \S+ AS {target}$(.*?)(?=^FROM |\Z)", _DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert stage
    return stage[1]
