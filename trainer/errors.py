"""What a run may fail of, as opposed to a mistake in the code."""

import errno

# As for the service: what a file brings about that is missing, closed or none. Everything else that a system may say is
# of a disk, of a network, or of what a process may have, and is over when they work again.
_OF_THE_VERSION = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EACCES, errno.EPERM}
)


class TrainerError(Exception):
    """Something that the user can put right; the message says how."""


class MachineError(TrainerError):
    """This machine can't do it now, which says nothing about what it was asked of."""


def is_of_the_machine(error: OSError) -> bool:
    """Whether the machine is to blame: it has no descriptors or memory left, or its disk or network fails.

    A library that finds content wrong raises OSError too, without a number: that is the version's.
    """
    return error.errno is not None and error.errno not in _OF_THE_VERSION
