"""What a run may fail of, as opposed to a mistake in the code."""


class TrainerError(Exception):
    """Something that the user can put right; the message says how."""
