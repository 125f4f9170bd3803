"""AdamW, its learning rate over a run, and the running average of the weights.

Written out in full, because all of it must run inside one compiled step, and Keras' own average leaves out the batch
statistics.
"""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from trainer.profiles import StridedRecipe

# Keeps a division by a tiny gradient finite; Adam's usual value.
_EPSILON = 1e-7


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter, arXiv:1711.05101)."""

    def __init__(self, recipe: StridedRecipe, variables: Sequence[Any], total_steps: int) -> None:
        self._recipe = recipe
        self._variables = variables
        self._total_steps = total_steps
        self._first = [tf.Variable(tf.zeros(variable.shape)) for variable in variables]
        self._second = [tf.Variable(tf.zeros(variable.shape)) for variable in variables]

    @property
    def variables(self) -> list[Any]:
        """The optimiser's state: the moments."""
        return [*self._first, *self._second]

    def learning_rate(self, step: tf.Tensor) -> tf.Tensor:
        """The rate at a step (float32, from 1): linear warm-up, then a cosine down to zero."""
        warm_up_steps = max(1.0, self._total_steps * self._recipe.warm_up_fraction)
        annealed = (step - warm_up_steps) / max(1.0, self._total_steps - warm_up_steps)
        cosine = 0.5 * (1.0 + tf.cos(math.pi * tf.clip_by_value(annealed, 0.0, 1.0)))
        return self._recipe.peak_learning_rate * tf.minimum(step / warm_up_steps, cosine)

    def apply(self, gradients: Sequence[tf.Tensor], step: tf.Tensor) -> None:
        """Moves every variable by one step (float32, from 1)."""
        recipe = self._recipe
        rate = self.learning_rate(step)
        # The moments start at zero; this makes up for it (Kingma & Ba, arXiv:1412.6980, section 3).
        corrected_rate = rate * tf.sqrt(1.0 - recipe.beta_2**step) / (1.0 - recipe.beta_1**step)
        for variable, gradient, first, second in zip(
            self._variables, gradients, self._first, self._second, strict=True
        ):
            first.assign_add((1.0 - recipe.beta_1) * (gradient - first))
            second.assign_add((1.0 - recipe.beta_2) * (tf.square(gradient) - second))
            change = corrected_rate * first / (tf.sqrt(second) + _EPSILON)
            if len(variable.shape) > 1:  # kernels; decaying scales and biases only hurts
                change += rate * recipe.weight_decay * tf.convert_to_tensor(variable)
            variable.assign_sub(change)


def update_average(average: Sequence[Any], variables: Sequence[Any], decay: float, step: tf.Tensor) -> None:
    """Moves a running average of weights towards them; it follows closely at first, then slowly."""
    share = 1.0 - tf.minimum(decay, (1.0 + step) / (10.0 + step))
    for averaged, variable in zip(average, variables, strict=True):
        averaged.assign_add(share * (tf.cast(variable, averaged.dtype) - averaged))
