"""Drawn digits: equally many of each, which can be told apart by comparing them with other drawings."""

import numpy as np

from trainer.images.drawings import draw_digits


def test_as_many_of_each() -> None:
    """A hundred drawings are ten of each digit, in random order."""
    images, labels = draw_digits(100, np.random.default_rng(0))
    assert images.shape == (100, 28, 28)
    assert images.dtype == labels.dtype == np.uint8
    assert np.bincount(labels).tolist() == [10] * 10
    assert labels.tolist() != sorted(labels.tolist())


def test_none_are_drawn_when_none_are_wanted() -> None:
    """No drawings are an empty array of the right form."""
    images, labels = draw_digits(0, np.random.default_rng(0))
    assert (images.shape, labels.shape) == ((0, 28, 28), (0,))


def test_drawings_show_their_labels() -> None:
    """The nearest of 2,000 other drawings has the same label, nine times in ten."""
    known, known_labels = draw_digits(2000, np.random.default_rng(1))
    asked, labels = draw_digits(200, np.random.default_rng(2))
    known_rows, rows = (images.reshape(-1, 784).astype(np.float32) / 255 for images in (known, asked))
    distances = (known_rows**2).sum(axis=1) - 2 * rows @ known_rows.T
    assert np.mean(known_labels[distances.argmin(axis=1)] == labels) > 0.9
