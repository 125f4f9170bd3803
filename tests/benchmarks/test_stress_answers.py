"""Which answers the stress test and the soak accept as right."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.requests import Request
from benchmarks.stress.answers import Question, asked, bulk_question, own_questions
from benchmarks.stress.mirror import write_mirrored
from service.engines.tensorflow import TensorFlowEngine
from service.versions.golden import GOLDEN_TOLERANCE, read_golden
from service.versions.manifest import read_manifest, verify_files
from tests.benchmarks.made_up import SEVEN, answering, prediction
from trainer.release import RELEASED_FOLDER

REQUEST = Request("one", "/", (("Content-Type", "text/plain"),), b"1")
ANOTHER_SEVEN = [0.02, *SEVEN[1:-1], 0.0]
PUBLISHED = {1: False, 2: True}


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        (prediction(SEVEN), 1),
        (prediction(SEVEN[::-1], 2), 2),
        (prediction([*SEVEN[:9], 0.01 + GOLDEN_TOLERANCE / 2]), 1),
        (prediction(ANOTHER_SEVEN), None),  # another client's row
        (prediction(SEVEN[::-1], 1), None),  # the other network's answer in this one's name
        (prediction(SEVEN, 2), None),
        (prediction(SEVEN, 3), None),  # never published
        ({**prediction(SEVEN), "predictions": 2 * prediction(SEVEN)["predictions"]}, None),
        ({**prediction(SEVEN), "predictions": []}, None),
        ({**prediction(SEVEN), "predictions": [{"digit": 1, "probabilities": SEVEN}]}, None),
        ({"detail": "no"}, None),
        ([], None),
    ],
)
def test_an_answer_is_right_for_its_image_and_version(answer: Any, version: int | None) -> None:
    """The named version must have been published, and its network must give this answer to this image."""
    question = Question(REQUEST, np.array([SEVEN], np.float32))
    body = json.dumps(answer).encode()
    for _ in range(2):  # an answer that was right once is not checked again
        assert question.version_of(body, PUBLISHED) == version
    assert question.version_of(json.dumps(prediction(SEVEN)).encode(), PUBLISHED) == 1
    assert question.version_of(body, PUBLISHED) == version


def test_each_connection_has_an_answer_of_its_own() -> None:
    """The answers to any two connections' images can be told apart, whichever network gives them."""
    golden = read_golden(RELEASED_FOLDER)
    questions = own_questions(golden, 32)
    assert len({question.request.body for question in questions}) == 32
    said = np.concatenate([question.probabilities for question in questions])
    answers = np.concatenate([said, said[:, ::-1]])
    distances = np.abs(answers[:, None] - answers[None]).max(axis=2)
    assert distances[~np.eye(len(answers), dtype=bool)].min() > 2 * GOLDEN_TOLERANCE
    assert bulk_question(golden, 70).probabilities[64:].tolist() == golden.probabilities[:6].tolist()


def test_what_nobody_knows_before_is_asked_for() -> None:
    """If the right answer is not known beforehand, the first answer counts as right."""
    with answering(lambda _: (200, prediction(SEVEN))) as port:
        question = asked(port, REQUEST)
    assert question.version_of(json.dumps(prediction(SEVEN)).encode(), PUBLISHED) == 1
    assert question.version_of(json.dumps(prediction(ANOTHER_SEVEN)).encode(), PUBLISHED) is None


def test_the_mirrored_network_may_serve(tmp_path: Path) -> None:
    """It is whole, and answers its own golden images, which are those of the released network, mirrored."""
    write_mirrored(RELEASED_FOLDER, tmp_path / "mirrored")
    manifest, _ = read_manifest(tmp_path / "mirrored")
    verify_files(tmp_path / "mirrored", manifest)
    golden, released = read_golden(tmp_path / "mirrored"), read_golden(RELEASED_FOLDER)
    golden.check(TensorFlowEngine(tmp_path / "mirrored").run, "it", tells_is_digit=manifest.tells_is_digit)
    np.testing.assert_array_equal(golden.probabilities, released.probabilities[:, ::-1])
