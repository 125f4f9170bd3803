"""LitServe: batches in a worker process of its own."""

import os

import litserve
import numpy as np
from saved_model import SavedModel


class DigitsAPI(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = SavedModel()

    def decode_request(self, request: dict[str, list[float]]) -> np.ndarray:
        return np.array(request["pixels"], np.float32)

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        return self.model(pixels)

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict[str, list[float]]:
        return {"probabilities": output.tolist()}


if __name__ == "__main__":
    api = DigitsAPI(max_batch_size=16, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
    )
