import socket

import pytest

from service.connections.listeners import address, bind_beside, listen


def test_several_sockets_listen_on_one_free_port() -> None:
    """With port 0 the first socket takes a free port and the others the same one."""
    listeners = listen("127.0.0.1", 0, 3)
    try:
        assert len({address(listener) for listener in listeners}) == 1
        with socket.create_connection(listeners[0].getsockname(), timeout=5):
            pass
    finally:
        for listener in listeners:
            listener.close()


@pytest.mark.parametrize("count", [1, 2])
def test_a_port_in_use_is_refused(count: int) -> None:
    """A port that another program listens on is not shared with it."""
    (taken,) = listen("127.0.0.1", 0, 1)
    with taken, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", taken.getsockname()[1], count)


def test_another_service_s_port_is_refused() -> None:
    """A port on which another service's workers listen is not shared with them."""
    others = listen("127.0.0.1", 0, 2)
    with others[0], others[1], pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", others[0].getsockname()[1], 2)


def test_a_socket_that_is_bound_beside_gets_no_connection_before_it_listens() -> None:
    """All connections come to the socket that listens already, and some to the other one once it does."""
    listeners = listen("127.0.0.1", 0, 2)
    where = listeners[0].getsockname()
    bound = bind_beside(listeners[0])
    listeners.pop().close()
    (listener,) = listeners
    listener.settimeout(0)
    bound.settimeout(0)
    with listener, bound:
        for _ in range(20):
            with socket.create_connection(where, timeout=5):
                listener.accept()[0].close()  # raises if it is not there
        bound.listen()
        for _ in range(100):
            with socket.create_connection(where, timeout=5):
                try:
                    bound.accept()[0].close()
                except BlockingIOError:
                    continue
                return
        pytest.fail("none of 100 connections came to the second socket")


def test_address_is_a_url() -> None:
    """An IPv6 host stands in brackets."""
    try:
        (listener,) = listen("::1", 0, 1)
    except OSError:
        pytest.skip("this system has no IPv6")
    with listener:
        assert address(listener) == f"http://[::1]:{listener.getsockname()[1]}"
