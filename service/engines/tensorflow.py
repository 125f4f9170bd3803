"""The TensorFlow engine: the SavedModel's own signature, in process.

It runs networks that LiteRT cannot run, and is the reference that the LiteRT engine is compared with.
Importing this module imports TensorFlow: 4 seconds and 400 MB.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from service.versions.manifest import VersionRejected, first_line_without

SIGNATURE = "serving_default"
OUT_OF_MEMORY = tf.errors.ResourceExhaustedError
"""What TensorFlow raises when it gets no memory, which may be this machine's fault and not the SavedModel's."""


class TensorFlowEngine:
    """The signature `serving_default` of a SavedModel."""

    # TensorFlow hands its work to its own threads and waits for them, so it must not run in the event loop's thread.
    inline_rows = 0

    def __init__(self, folder: Path) -> None:
        """Load the SavedModel in `folder` and check its signature.

        Raises:
            VersionRejected: It does not load, or its signature is not the one that the model store prescribes.
        """
        self.signature = load_signature(folder)

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn pixels float32 [n, 784] into outputs float32 [n, 10 or 11]."""
        outputs: NDArray[np.float32] = outputs_of(self.signature, tf.constant(pixels)).numpy()
        return outputs


@contextlib.contextmanager
def rejecting_what_cannot_run() -> Iterator[None]:
    """Reject the version if TensorFlow raises an error while its network runs, unless it gets no memory.

    Raises:
        VersionRejected: The network cannot run.
    """
    try:
        yield
    except OUT_OF_MEMORY:
        raise
    except tf.errors.OpError as error:
        # The error's message begins with a heading and goes on with file paths.
        msg = f"TensorFlow cannot run the SavedModel: {type(error).__name__}"
        raise VersionRejected(msg) from error


def outputs_of(signature: Any, pixels: Any) -> Any:  # noqa: ANN401 - TensorFlow has no types
    """Call the signature and return the probabilities and, beside them, the score `is_digit` if it has that output.

    The result is a tensor float32 [n, 10 or 11], eager or symbolic like `pixels` float32 [n, 784].
    """
    answered = signature(pixels=pixels)
    if "is_digit" not in answered:
        return answered["probabilities"]
    return tf.concat([answered["probabilities"], answered["is_digit"][:, tf.newaxis]], axis=1)


def load_signature(folder: Path) -> Any:  # noqa: ANN401 - TensorFlow has no types
    """Load the signature `serving_default` of the SavedModel in `folder`, and check its inputs and outputs.

    Raises:
        VersionRejected: It does not load, or its inputs or outputs have other names, shapes or dtypes.
    """
    try:
        loaded = tf.saved_model.load(str(folder))
    except OUT_OF_MEMORY:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError, tf.errors.OpError) as error:
        msg = f"TensorFlow cannot load the SavedModel: {first_line_without(error, folder)}"
        raise VersionRejected(msg) from error
    signature = loaded.signatures.get(SIGNATURE)
    if signature is None:
        msg = f"the SavedModel has no signature {SIGNATURE}"
        raise VersionRejected(msg)
    # The signature has only weak references to its variables: without the loaded object they are gone.
    signature.loaded = loaded
    _check_specifications("input", signature.structured_input_signature[1], {"pixels": [None, 784]})
    outputs: dict[str, list[int | None]] = {"probabilities": [None, 10], "logits": [None, 10]}
    if "is_digit" in signature.structured_outputs:
        outputs["is_digit"] = [None]
    _check_specifications("output", signature.structured_outputs, outputs)
    return signature


def _check_specifications(what: str, found: dict[str, Any], expected: dict[str, list[int | None]]) -> None:
    for name, shape in expected.items():
        specification = found.get(name)
        if specification is None:
            msg = f"signature {SIGNATURE} has no {what} {name}; it has {', '.join(sorted(found)) or 'none'}"
            raise VersionRejected(msg)
        if specification.dtype != tf.float32 or specification.shape.as_list() != shape:
            msg = (
                f"{what} {name} must be float32 {shape}, "
                f"it is {specification.dtype.name} {specification.shape.as_list()}"
            )
            raise VersionRejected(msg)
    if what == "input" and set(found) != set(expected):
        msg = f"signature {SIGNATURE} must have the one input pixels; it has {', '.join(sorted(found))}"
        raise VersionRejected(msg)
