"""API keys: who may ask for anything below /v1/, when the operator has set keys.

The page, its files, the reference, health and metrics stay open. Keys are compared by their digests, of
which neither a log line nor a traceback can show one.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from service.problems import Unauthorized

GUARDED = "/v1/"
"""What the paths that need a key begin with."""

_BEARER = b"bearer "


class Keys:
    """The keys that are accepted."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [_digest(key.encode()) for key in keys]

    def accept(self, key: bytes) -> bool:
        """Whether it is one of them; takes the same time for every key that is not, and for every one that is."""
        given = _digest(key)
        # All are compared, whichever matches.
        return sum(hmac.compare_digest(given, digest) for digest in self._digests) > 0


class KeyGuard:
    """Plain ASGI: hands on what carries an accepted key and what needs none."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on.

        Raises:
            Unauthorized: It needs a key and has none that is accepted.
        """
        if scope["type"] == "http" and scope["path"].startswith(GUARDED):
            self._check(_given_keys(scope["headers"]))
        await self._app(scope, receive, send)

    def _check(self, given: list[bytes]) -> None:
        if not given:
            raise Unauthorized(
                "This needs an API key; send it as `Authorization: Bearer <key>` or as `X-API-Key: <key>`.",
                headers={"WWW-Authenticate": 'Bearer realm="digits"'},
            )
        if not all(self._keys.accept(key) for key in given):
            raise Unauthorized(
                "This API key is not accepted; check that it is whole, or ask the operator for another.",
                headers={"WWW-Authenticate": 'Bearer realm="digits", error="invalid_token"'},
            )


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _given_keys(headers: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """Every key that the headers carry: by two of them nobody knows who asks, so both must be accepted."""
    keys = []
    for name, value in headers:
        if name == b"x-api-key":
            keys.append(value.strip())
        elif name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
            keys.append(value[len(_BEARER) :].strip())
    return keys
