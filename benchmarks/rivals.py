"""Peers as contenders: their environments built, their ports and folders filled in."""

import os
from pathlib import Path

from benchmarks.contenders import Contender, Load
from benchmarks.digits import Released
from benchmarks.environments import Environments
from benchmarks.peers import PROGRAMS, Peer
from service.versions.golden import GoldenImages

_CONNECTIONS = (32, 1)


def rival(peer: Peer, released: Released, golden: GoldenImages, environments: Environments, scratch: Path) -> Contender:
    """Make a contender of a peer; `scratch` is where it may leave files.

    Raises:
        ServerError: It cannot be installed here.
    """
    program = PROGRAMS / peer.name
    bin_folder = environments.programs_of(peer.name, program / "requirements.txt")
    folder = scratch / peer.name
    folder.mkdir(parents=True, exist_ok=True)
    builders = (peer.json_image, *([peer.binary] if peer.binary else []))
    row = golden.pixels[0]
    return Contender(
        name=peer.name,
        title=peer.title,
        command=tuple(
            part.replace("{bin}", str(bin_folder)).replace("{program}", str(program)) for part in peer.command
        ),
        environment={
            "SAVED_MODEL": str(released.version),
            "PORT": "{port}",
            "PYTHONPATH": str(PROGRAMS / "shared"),
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            **peer.environment,
        },
        folder=folder,
        builders=builders,
        probabilities_at=peer.probabilities_at,
        loads=tuple(Load(build(row), _CONNECTIONS) for build in builders),
        packages=(peer.package, "tensorflow-cpu"),
        settings=peer.settings,
    )
