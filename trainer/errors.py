"""What a run may fail of, as opposed to a mistake in the code."""

import errno

# As for the service: neither a file's content nor its name brings these about. ESTALE is a network's.
_OF_THE_MACHINE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE})


class TrainerError(Exception):
    """Something that the user can put right; the message says how."""


class MachineError(TrainerError):
    """This machine can't do it now, which says nothing about what it was asked of."""


def is_of_the_machine(error: OSError) -> bool:
    """Whether the machine is to blame: it has no descriptors or memory left, or its disk or network fails."""
    return error.errno in _OF_THE_MACHINE
