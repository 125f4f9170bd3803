"""The usual FastAPI server: a body model, a synchronous endpoint, the SavedModel's signature."""

import os

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from saved_model import SavedModel

app = FastAPI()
model = SavedModel()


class Image(BaseModel):
    pixels: list[float]


class Answer(BaseModel):
    probabilities: list[float]


@app.post("/predict")
def predict(image: Image) -> Answer:
    return Answer(probabilities=model(np.array([image.pixels], np.float32))[0].tolist())


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), access_log=False, log_level="warning")
