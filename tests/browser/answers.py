"""Made-up answers of the service, for cases that the real one cannot be made to produce in a test."""

from typing import Any

MODEL = {"name": "digits", "version": 1}


def prediction(digit: int, confidence: float = 0.91, **more: Any) -> dict[str, Any]:
    """An answer of `/v1/predict` about one picture; `more` goes into the prediction."""
    probabilities = [(1 - confidence) / 9] * 10
    probabilities[digit] = confidence
    found = {"digit": digit, "confidence": confidence, "probabilities": probabilities, **more}
    return {"predictions": [found], "model": MODEL, "request_id": "fake"}


def reading(*digits: tuple[int, float, list[int]], is_digit: list[bool] | None = None) -> dict[str, Any]:
    """An answer of `/v1/read`: each digit with its confidence and its box [x, y, width, height]."""
    found: list[dict[str, Any]]
    found = [{"digit": digit, "confidence": confidence, "box": box} for digit, confidence, box in digits]
    for digit, tells in zip(found, is_digit or [], strict=False):
        digit["is_digit"] = tells
    text = "".join(str(digit) for digit, _, _ in digits)
    return {"text": text, "digits": found, "model": MODEL, "request_id": "fake"}
