"""MLServer: a custom runtime for the SavedModel; model-settings.json sets the adaptive batching."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from saved_model import SavedModel


class DigitsModel(MLModel):
    async def load(self) -> bool:
        self.model = SavedModel()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        pixels = NumpyCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output("probabilities", self.model(pixels))
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])
