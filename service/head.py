"""HEAD wherever there is GET, as RFC 9110 asks: load balancers, monitors and `curl -I` use it.

The routes only know GET. The server leaves the body out, and keeps the headers, its length among them.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """Plain ASGI: hands a HEAD on as GET; the middleware outside of it, which counts and logs, still sees HEAD."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            scope["method"] = "HEAD"  # the server looks here to see that no body is wanted
            await send(message)

        # In the scope itself and not in a copy, because routing notes in it which route was matched.
        scope["method"] = "GET"
        try:
            await self._app(scope, receive, send_head)
        finally:
            scope["method"] = "HEAD"
