"""One temperature that makes confidence mean what it says (Guo et al. 2017, arXiv:1706.04599), and one threshold.

Label smoothing leaves a network underconfident; dividing its logits by a number under 1 corrects that and changes no
answer.
"""

import numpy as np
from numpy.typing import NDArray

# Far beyond any temperature that a sane network needs (0.4 to 2); hit only if all answers are
# right or wrong.
_LOG_BOUND = np.log(20.0)
_GOLDEN_RATIO = (np.sqrt(5.0) - 1.0) / 2.0
_ACCEPTED_DIGITS = 0.99  # of images like those held out; a stricter threshold would refuse too many people's digits
_ROUNDS = 60  # each leaves 0.62 of the interval: in the end float64 can't tell the losses apart


def calibrate(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Turns logits float32 [N, 10] into probabilities float32 [N, 10]."""
    scaled = logits.astype(np.float64) / temperature
    likelihoods = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float32] = (likelihoods / likelihoods.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> float:
    """Finds the temperature that makes the labels likeliest.

    A golden-section search over its logarithm.

    Args:
        logits: float32 [N, 10], of images that nothing was fitted to.
        labels: uint8 [N].
    """
    low, high = -_LOG_BOUND, _LOG_BOUND
    for _ in range(_ROUNDS):
        left, right = high - _GOLDEN_RATIO * (high - low), low + _GOLDEN_RATIO * (high - low)
        if _loss(logits, labels, float(np.exp(left))) <= _loss(logits, labels, float(np.exp(right))):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def choose_threshold(is_digit: NDArray[np.float32]) -> float:
    """Finds the largest threshold that 99 % of the digits reach.

    Args:
        is_digit: float32 [N], of digits that nothing was fitted to.
    """
    return float(np.quantile(is_digit, 1 - _ACCEPTED_DIGITS, method="lower"))


def _loss(logits: NDArray[np.float32], labels: NDArray[np.uint8], temperature: float) -> float:
    """The mean negative log-likelihood, in nats; convex in 1 / temperature, so it has one minimum."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(scaled).sum(axis=1))
    return float(np.mean(log_total - scaled[np.arange(len(labels)), labels]))
