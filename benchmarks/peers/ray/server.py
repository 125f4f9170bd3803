"""Ray Serve: batches in a replica that clients reach directly, as its guide to throughput says."""

import os
import signal

import numpy as np
import ray
from ray import serve
from saved_model import SavedModel
from starlette.requests import Request


@serve.deployment(num_replicas=1, max_ongoing_requests=256)
class Digits:
    def __init__(self) -> None:
        self.model = SavedModel()

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.0)
    async def probabilities(self, rows: list[np.ndarray]) -> list[np.ndarray]:
        return list(self.model(np.stack(rows)))

    async def __call__(self, request: Request) -> dict[str, list[float]]:
        body = await request.json()
        row = await self.probabilities(np.array(body["pixels"], np.float32))
        return {"probabilities": row.tolist()}


if __name__ == "__main__":
    ray.init(include_dashboard=False, _node_ip_address="127.0.0.1")
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    serve.run(Digits.bind())
    signal.pause()
