"""Failures that are not mistakes in the code: the user can mend some of them, the machine causes others."""

import errno

# As in the service: what the system says of a file that is missing, may not be read, or is not a file. Any other error
# number speaks of a disk, a network or a limit of this process, and goes away when that works again.
_VERSION_FAULTS = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EACCES, errno.EPERM}
)


class TrainerError(Exception):
    """Something that the user can put right; the message says how."""


class MachineError(TrainerError):
    """This machine can't do it now; that says nothing about the version."""


def is_machine_fault(error: OSError) -> bool:
    """Whether the machine is to blame for an error: it has no descriptors or memory left, or its disk or network fails.

    A library that finds a file's content wrong also raises OSError, but without a number: that is the version's fault.
    """
    return error.errno is not None and error.errno not in _VERSION_FAULTS
