"""The server of a watched sweep: on this machine alone, for those who have the token in its address."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.pages.html import markup
from grokcore.errors import GrokmapError
from sweeps.watching.live_page import LivePage
from sweeps.watching.state import SweepState

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

LOOPBACK = "127.0.0.1"
LOOKS = 2.0
"""Seconds between two looks into the sweep's folder."""
HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; frame-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page around the map may do: its own script and style, and what this server answers."""


class Watched:
    """A sweep's state and its live page, looked after while a server runs."""

    def __init__(self, folder: Path, live: LivePage | None = None) -> None:
        self.state, self.live = SweepState(folder), live or LivePage(folder)
        self.trouble = ""

    def look(self) -> None:
        """Read what is new, and begin another page where one is worth it."""
        try:
            self.state.look()
            self.trouble = ""
        except (GrokmapError, OSError, ValueError, KeyError, TypeError) as error:
            self.trouble = str(error)
            return
        if self.live.wanted(self.state):
            self.live.begin(self.state.finished)

    def values(self) -> dict[str, Any]:
        """Return all that the page shows beside the map."""
        return self.state.values(self.live.widths) | {
            "map": self.live.version,
            "map_runs": self.live.runs,
            "fitting": self.live.fitting,
            "note": self.trouble or self.live.note,
        }


def application(watched: Watched, token: str, looks: float = LOOKS) -> Starlette:
    """Return the application: the page, its state as JSON, and the newest map; each asks for the token."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse
    from starlette.routing import Route

    def guarded(answer: Callable[[], Response]) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            given = request.query_params.get("token", "")
            if not secrets.compare_digest(given.encode(), token.encode()):
                return PlainTextResponse("Open the whole address that `grokmap watch` printed.", 403, HEADERS)
            return answer()

        return endpoint

    def page() -> Response:
        nonce = secrets.token_urlsafe(16)
        return HTMLResponse(_page(nonce), headers={**HEADERS, "Content-Security-Policy": POLICY.format(nonce=nonce)})

    def values() -> Response:
        return JSONResponse(watched.values(), headers=HEADERS)

    def newest() -> Response:
        if watched.live.text is None:
            return PlainTextResponse("There is no map yet.", 404, HEADERS)
        return HTMLResponse(watched.live.text, headers={**HEADERS, "X-Frame-Options": "SAMEORIGIN"})

    routes = {"/": page, "/state": values, "/map": newest}
    return Starlette(
        routes=[Route(path, guarded(answer)) for path, answer in routes.items()],
        # Another site's name that leads here is no way in.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[LOOPBACK, "localhost"])],
        lifespan=lambda _: _looking(watched, looks),
    )


@contextlib.asynccontextmanager
async def _looking(watched: Watched, looks: float) -> AsyncIterator[None]:
    """Look into the sweep's folder now and then while the server runs."""

    async def again() -> None:
        while True:
            await asyncio.to_thread(watched.look)
            await asyncio.sleep(looks)

    task = asyncio.create_task(again())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _page(nonce: str) -> str:
    import jinja2

    folder = resources.files("sweeps.watching") / "templates"
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in ("watch.html", "watch.js", "watch.css")}
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(texts["watch.html"]).render(
        nonce=nonce, script=markup(texts["watch.js"]),
        css=markup(texts["watch.css"]),
    )  # fmt: skip


def listen(port: int) -> socket.socket:
    """Return a socket on this machine's own address; port 0 is any that is free."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind((LOOPBACK, port))
    found.listen()
    return found


def serve(watched: Watched, token: str, place: socket.socket) -> None:
    """Serve until the process is told to end."""
    import uvicorn

    config = uvicorn.Config(
        application(watched, token), log_level="error", access_log=False, timeout_graceful_shutdown=2
    )
    uvicorn.Server(config).run(sockets=[place])
