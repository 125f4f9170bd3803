"""The peers: how each is started, what it is asked and where its answer is; each one's program lies in its own folder.

They serve the same SavedModel, the way their own documentation recommends, with the fastest settings of those tried
that stay on loopback.
"""

import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.requests import Request, json_numbers

PROGRAMS = Path(__file__).parent

_OPEN_INFERENCE = '{"inputs":[{"name":"pixels","shape":[1,784],"datatype":"FP32","data":PIXELS}]}'
_BINARY_HEAD = (
    b'{"inputs":[{"name":"pixels","shape":[1,784],"datatype":"FP32","parameters":{"binary_data_size":3136}}],'
    b'"outputs":[{"name":"probabilities","parameters":{"binary_data":false}}]}'
)


@dataclass(frozen=True)
class Peer:
    """One other server.

    In `command`, `{bin}` stands for the folder of its environment's programs and `{program}` for its folder here. Ports
    are named as in `Contender`. In `body`, `PIXELS` stands for 784 numbers.
    """

    name: str
    title: str
    package: str
    command: tuple[str, ...]
    path: str
    body: str
    probabilities_at: tuple[str | int, ...]
    settings: str
    environment: Mapping[str, str] = field(default_factory=dict)
    binary: Callable[[NDArray[np.float32]], Request] | None = None
    """Makes the request with the image as binary data, where the peer supports that."""

    def json_image(self, row: NDArray[np.float32]) -> Request:
        """One image in this peer's JSON."""
        body = self.body.replace("PIXELS", json_numbers(row)).encode()
        return Request("JSON, one image", self.path, (("Content-Type", "application/json"),), body)


def _triton_binary(row: NDArray[np.float32]) -> Request:
    """One image in Triton's binary tensor extension: JSON that describes it, then its float32 bytes."""
    headers = (
        ("Content-Type", "application/octet-stream"),
        ("Inference-Header-Content-Length", str(len(_BINARY_HEAD))),
    )
    return Request("octet-stream, one image", "/v2/models/digits/infer", headers, _BINARY_HEAD + row.tobytes())


PEERS = (
    Peer(
        name="fastapi",
        title="FastAPI, as in a tutorial",
        package="fastapi",
        command=("{bin}/python", "{program}/server.py"),
        path="/predict",
        body='{"pixels":PIXELS}',
        probabilities_at=("probabilities",),
        settings="synchronous endpoint, pydantic body, one process",
    ),
    Peer(
        name="litserve",
        title="LitServe",
        package="litserve",
        command=("{bin}/python", "{program}/server.py"),
        path="/predict",
        body='{"pixels":PIXELS}',
        probabilities_at=("probabilities",),
        settings="batches of at most 16, 1 ms window, one worker",
    ),
    Peer(
        name="mlserver",
        title="MLServer",
        package="mlserver",
        command=("{bin}/mlserver", "start", "{program}"),
        path="/v2/models/digits/infer",
        body=_OPEN_INFERENCE,
        probabilities_at=("outputs", 0, "data"),
        settings="batches of at most 64, 0.5 ms window, one parallel worker",
        environment={
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": "{port}",
            "MLSERVER_GRPC_PORT": "{second_port}",
            "MLSERVER_METRICS_PORT": "{third_port}",
            "MLSERVER_DEBUG": "false",
        },
    ),
    Peer(
        name="bentoml",
        title="BentoML",
        package="bentoml",
        command=(
            *("{bin}/bentoml", "serve", "server:Digits", "--working-dir", "{program}"),
            *("--host", "127.0.0.1", "--port", "{port}"),
        ),
        path="/predict",
        body='{"pixels":[PIXELS]}',
        probabilities_at=(0,),
        settings="adaptive batches of at most 64, one worker",
    ),
    Peer(
        name="pytriton",
        title="PyTriton (Triton)",
        package="nvidia-pytriton",
        command=("{bin}/python", "{program}/server.py"),
        path="/v2/models/digits/infer",
        body=_OPEN_INFERENCE,
        probabilities_at=("outputs", 0, "data"),
        settings="batches of at most 64, no delay, one instance, tensors passed inline",
        environment={
            # Triton's executable embeds Python, and must find the one that the packages were installed for.
            "LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR")),
            # Shared memory is for large tensors; passing 3 KB inline was faster in every short run that was tried.
            "PYTRITON_NO_TENSORSTORE": "1",
        },
        binary=_triton_binary,
    ),
    Peer(
        name="ray",
        title="Ray Serve",
        package="ray",
        command=("{bin}/python", "{program}/server.py"),
        path="/",
        body='{"pixels":PIXELS}',
        probabilities_at=("probabilities",),
        settings=(
            "throughput optimised, direct ingress, batches of at most 64, no wait, one replica; "
            "not its best: several times faster behind its HAProxy, which listens beyond loopback"
        ),
        environment={
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": "{port}",
            "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": "65535",
        },
    ),
)
