"""API keys: who may ask for anything below /v1/, when the operator has set keys.

The page, its files, the reference, health and metrics stay open. Keys are kept and compared as digests, so that
neither a log line nor a traceback can show an accepted key.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from service.problems import Unauthorized

GUARDED = "/v1/"
"""The beginning of the paths that need a key."""

_BEARER = b"bearer "


class Keys:
    """The keys that are accepted."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [_digest(key.encode()) for key in keys]

    def accept(self, key: bytes) -> bool:
        """Whether `key` is one of them; takes the same time for every key that is, and for every key that is not."""
        given = _digest(key)
        # All are compared, even after a match.
        return sum(hmac.compare_digest(given, digest) for digest in self._digests) > 0


class KeyGuard:
    """Plain ASGI: passes on requests that carry an accepted key or need none."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on.

        Raises:
            Unauthorized: It needs a key, and has none or one that is not accepted.
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
    """Every key in the headers: with two keys it is unclear who asks, so both must be accepted."""
    keys = []
    for name, value in headers:
        if name == b"x-api-key":
            keys.append(value.strip())
        elif name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
            keys.append(value[len(_BEARER) :].strip())
    return keys
