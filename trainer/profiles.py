"""The four recipes: every hyper-parameter, why it has its value, and what to expect of it.

Accuracy is on MNIST's 10,000 test images; a test trains each recipe and checks that it reaches its minimum. Choices
were made on the last 10,000 training images, the drawn digits' forms also on misread digits of UniPen, Semeion and
Optdigits (docs/decisions/0009), never on the test set. A recipe is a flat value, because the manifest holds it as it
is.
"""

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from trainer.versions.manifest import RecipeFacts


class Profile(StrEnum):
    """The names of the recipes."""

    TUTORIAL = "tutorial"
    FAST = "fast"
    DEFAULT = "default"
    BEST = "best"


@dataclass(frozen=True)
class TutorialRecipe:
    """What a Keras tutorial does: two convolutions with pooling, Adam, `fit(validation_split=0.2)`.

    It is a baseline for the other recipe: `fast` takes less time and makes two thirds as many errors, `default` and
    `best` make a third as many (by the accuracy that each reaches at least).
    """

    profile: str = Profile.TUTORIAL.value
    epochs: int = 4  # the validation accuracy gains under 0.1 points an epoch after that
    batch_size: int = 128  # 32 is Keras' default, and much slower on two cores
    filters: tuple[int, ...] = (16, 32)  # of the 3x3 convolutions, each followed by 2x2 pooling
    learning_rate: float = 2e-3  # Adam; 1e-3 to 3e-3 do equally well at this batch size
    dropout: float = 0.25  # before the last layer; 0.2 to 0.5 are usual
    validation_split: float = 0.2  # Keras takes the last fifth, so the images held out are in it


@dataclass(frozen=True)
class StridedRecipe:
    """A strided network with batch normalisation, augmentation, and an annealed, averaged AdamW.

    The strides come first, so that nothing runs at 28x28: the same accuracy in half the time.
    """

    profile: str
    epochs: int
    filters: tuple[int, ...]  # 5x5 stride 2, 3x3 stride 2, then 3x3 without padding
    batch_size: int = 256  # 128 to 512 take the same time an image and end equally well
    peak_learning_rate: float = 5e-3  # 3e-3 to 6e-3
    warm_up_fraction: float = 0.15  # of all steps, linear from zero; a cosine anneals the rest
    beta_1: float = 0.9  # AdamW's usual momentum
    beta_2: float = 0.99  # the usual 0.999 remembers for longer than a short run lasts
    weight_decay: float = 0.02  # decoupled, on kernels only; 0.01 to 0.05
    label_smoothing: float = 0.05  # costs confidence, which the temperature gives back
    averaging_decay: float = 0.998  # of the weights' running average, per step: two epochs' memory
    normalisation_momentum: float = 0.95  # of the batch statistics' running average, per step
    max_rotation_degrees: float = 12.0  # beyond 15 a 7 may turn into a 1
    max_log_scale: float = 0.12  # on each axis: 0.89 to 1.13 of the size
    max_shear: float = 0.2  # writers slant more than they rotate
    max_shift_pixels: float = 2.2  # MNIST is centred by mass, users' pictures less well
    elastic_pixels: float = 1.2  # standard deviation of the spline's knots; 1.0 to 1.5
    unmoved_fraction: float = 0.0  # share of the images that stay sharp because they are not moved; 0.1 to 0.15
    thickness_fraction: float = 0.15  # share of the images drawn with a thicker or thinner pen
    drawn_fraction: float = 0.0  # digits drawn by pen, per training image of MNIST
    disturbed_fraction: float = 0.0  # share of the images with a ground, noise, lines and so on
    disturbed_until: float = 0.75  # share of all steps; the clean rest regains what disturbances cost
    outliers_per_batch: int = 0  # images of non-digits; with 0 there is no output is_digit
    outlier_weight: float = 0.5  # of the loss for telling them from digits; 0.3 to 0.5


Recipe: TypeAlias = TutorialRecipe | StridedRecipe

RECIPES: dict[Profile, Recipe] = {
    # At least 98.5 %.
    Profile.TUTORIAL: TutorialRecipe(),
    # At least 99.0 %: three annealed epochs read 99.2 % of the held-out images right, in 45 seconds.
    Profile.FAST: StridedRecipe(profile=Profile.FAST.value, epochs=3, filters=(16, 48, 64, 96)),
    # At least 99.5 %. A network twice the size, with a lower peak learning rate for it.
    Profile.DEFAULT: StridedRecipe(
        profile=Profile.DEFAULT.value,
        epochs=17,  # four to five minutes on two cores that multiply bfloat16, six on others
        filters=(24, 64, 96, 128),
        peak_learning_rate=4e-3,
        warm_up_fraction=0.1,
        unmoved_fraction=0.125,
        drawn_fraction=0.08,
        disturbed_fraction=0.12,
        outliers_per_batch=32,
    ),
    # At least 99.5 %, and better on people's own pictures: the same network, seven times as long,
    # on more varied digits.
    Profile.BEST: StridedRecipe(
        profile=Profile.BEST.value,
        epochs=120,  # 20 to 30 minutes on two cores that multiply bfloat16, fifty on others
        filters=(24, 64, 96, 128),
        peak_learning_rate=4e-3,
        warm_up_fraction=0.1,
        averaging_decay=0.9995,  # eight epochs' memory: docs/decisions/0009
        max_rotation_degrees=13.0,
        elastic_pixels=1.4,
        unmoved_fraction=0.125,
        drawn_fraction=0.08,
        disturbed_fraction=0.12,
        outliers_per_batch=32,
    ),
}


def recipe_for(profile: Profile, epochs: int | None = None) -> Recipe:
    """Returns a profile's recipe, with another number of epochs if one is given."""
    recipe = RECIPES[profile]
    return recipe if epochs is None else replace(recipe, epochs=epochs)


def recipe_facts(recipe: Recipe) -> RecipeFacts:
    """States a recipe as the manifest holds it: JSON scalars and lists."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(recipe).items()}
