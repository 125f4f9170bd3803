"""Listening sockets: one for each worker, all on the same address.

The kernel spreads connections over them; one socket that all workers share is drained unevenly and costs up to a
third of the requests.
"""

import contextlib
import socket

# Connections that the kernel holds until the event loop takes them.
_BACKLOG = 2048


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """Listen on the address with `count` sockets; with port 0 all of them use the same free port.

    Raises:
        OSError: The address cannot be listened on.
    """
    if count > 1 and port:
        # Sockets that share a port also share it with another service's. This unshared one fails if the port is taken.
        _listen(host, port, shared=False).close()
    with contextlib.ExitStack() as opened:
        first = opened.enter_context(_listen(host, port, shared=count > 1))
        port = first.getsockname()[1]
        others = [opened.enter_context(_listen(host, port, shared=True)) for _ in range(count - 1)]
        opened.pop_all()
        return [first, *others]


def bind_beside(listener: socket.socket) -> socket.socket:
    """Bind a socket to the address that a worker's listening socket has; no connection comes to it until it listens.

    Raises:
        OSError: The address is not available.
    """
    host, port = listener.getsockname()[:2]
    return _bind(host, port, shared=True)


def address(listener: socket.socket) -> str:
    """Where a listening socket can be reached, as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen(host: str, port: int, *, shared: bool) -> socket.socket:
    listener = _bind(host, port, shared=shared)
    try:
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _bind(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
