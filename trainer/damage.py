"""What is wrong with a stored version's files, found without TensorFlow.

A server looks in the same way before it serves a version; whether the network itself runs is for
`answering` to say.
"""

from pathlib import Path

from trainer.errors import TrainerError
from trainer.manifest import describe_files, read


class DamagedVersionError(TrainerError):
    """A version that can't be used; the message says what is wrong with it."""


def damage_of(version_folder: Path) -> str | None:
    """Says how a version differs from its manifest; None if every file is as the manifest states."""
    try:
        manifest = read(version_folder)
        stated = manifest["files"].items()
        found = describe_files(version_folder)
    # Whoever wrote it: a manifest may be missing, no JSON, or JSON of another form.
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "its manifest can't be read"
    if str(manifest["version"]) != version_folder.name:
        return f"its manifest says version {manifest['version']}"
    differing = [name for name, facts in stated if found.get(name) != facts]
    return f"{differing[0]} is not as its manifest states" if differing else None
