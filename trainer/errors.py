"""Failures that are not bugs: the user can fix some of them, the machine causes others."""

import errno

# As in the service: the error numbers for a file that is missing, may not be read, or is not a file. Any other number
# means trouble with a disk, a network or a limit of this process, and goes away when that works again.
_VERSION_FAULTS = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EACCES, errno.EPERM}
)


class TrainerError(Exception):
    """Something that the user can put right; the message says how."""


class MachineError(TrainerError):
    """This machine can't do it now; that says nothing about the version."""


def is_machine_fault(error: OSError) -> bool:
    """Whether the machine caused an error: it has no file descriptors or memory left, or its disk or network fails.

    A library that finds a file's content wrong also raises OSError, but without a number; that is the version's fault.
    """
    return error.errno is not None and error.errno not in _VERSION_FAULTS
