"""BentoML: a service with adaptive batching."""

from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import DType, Shape
from saved_model import SavedModel

Pixels = Annotated[np.ndarray, Shape((-1, 784)), DType("float32")]


@bentoml.service(workers=1, traffic={"timeout": 60})
class Digits:
    def __init__(self) -> None:
        self.model = SavedModel()

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
    def predict(self, pixels: Pixels) -> np.ndarray:
        return self.model(pixels)
