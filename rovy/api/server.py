"""The HTTP server: routes, decoding, errors."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from rovy import __version__
from rovy.address.keys import address_text
from rovy.address.multiaddr import Multiaddr
from rovy.api import schema
from rovy.api.control import Conflict, Control, NotFound
from rovy.api.views import counters_view, peers_view, route_text, session_view
from rovy.errors import Malformed, RovyError, Unreachable, UsageError

SHUTDOWN: Final = 0.5
"""Seconds that requests under way have when the daemon stops."""
STREAMS: Final = 32
"""Event streams at a time."""

T = TypeVar("T", bound=schema.Request)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = logging.getLogger(__name__)


class Server:
    """Serves one daemon."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._streams: set[asyncio.Task[object]] = set()
        app = web.Application(client_max_size=schema.MAX_BODY, middlewares=[errors])
        app.add_routes(
            [
                web.get("/v1/info", self._info),
                web.get("/v1/peers", self._peers),
                web.post("/v1/peers", self._add_peer),
                web.delete("/v1/peers/{peer}", self._remove_peer),
                web.get("/v1/sessions", self._sessions),
                web.get("/v1/counters", self._counters),
                web.get("/v1/events", self._events),
                web.post("/v1/ping", self._ping),
                web.post("/v1/reload", self._reload),
                web.post("/v1/stop", self._stop),
            ]
        )
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN
        )

    async def start(self, sock: socket.socket) -> None:
        """Serve on a listening socket."""
        await self._runner.setup()
        await web.SockSite(self._runner, sock).start()

    async def close(self) -> None:
        """Answer what is under way, briefly, and stop."""
        for stream in self._streams:
            stream.cancel()
        await self._runner.cleanup()

    # Looking

    async def _info(self, request: web.Request) -> web.Response:
        node, settings = self._control.node, self._control.settings
        stats = node.stats()
        return answer(
            schema.Info(
                version=__version__,
                peer_id=str(node.peer_id),
                address=address_text(node.peer_id.address),
                uptime=time.monotonic() - self._control.started,
                pid=os.getpid(),
                listen=[str(Multiaddr.of(each.bound)) for each in node.sockets],
                port=node.sockets[0].bound.port if node.sockets else 0,
                addresses=[str(address) for address in node.addresses()],
                network="private" if settings.private else "public",
                peers=stats.peerings,
                sessions=stats.sessions,
                config_file=self._control.config_file,
                key_file=str(settings.key_file),
                state_dir=str(settings.state_dir),
                socket=str(settings.socket),
                problems=self._control.problems(),
            )
        )

    async def _peers(self, request: web.Request) -> web.Response:
        kept = self._control.kept()
        return answer(schema.Peers(peers_view(kept, self._control.node.sessions())))

    async def _sessions(self, request: web.Request) -> web.Response:
        kept = self._control.kept()
        sessions = []
        for info in self._control.node.sessions():
            name = kept[info.peer].name if info.peer in kept else ""
            sessions.append(session_view(info, name))
        return answer(schema.Sessions(sessions))

    async def _counters(self, request: web.Request) -> web.Response:
        return answer(schema.Counters(counters_view(self._control.node.stats())))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if len(self._streams) >= STREAMS:
            raise Conflict(f"{STREAMS} event streams are open: close one")
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        stream = asyncio.current_task()
        assert stream is not None
        self._streams.add(stream)
        try:
            await response.prepare(request)
            await self._stream(response)
        except ConnectionResetError:
            pass
        finally:
            self._streams.discard(stream)
        return response

    async def _stream(self, response: web.StreamResponse) -> None:
        # The headers go out at once: who reads them knows that nothing is missed from here on.
        await response.write(b"\n")
        async for event in self._control.node.events():
            kept = self._control.kept().get(event.peer)
            line = schema.Event(
                time.time(), event.kind, str(event.peer), kept.name if kept else "", event.detail
            )
            await response.write(msgspec.json.encode(line) + b"\n")

    # Doing

    async def _add_peer(self, request: web.Request) -> web.Response:
        body = await decode(request, schema.AddPeer)
        kept, new = await self._control.add_peer(body.address, body.name)
        status = HTTPStatus.CREATED if new else HTTPStatus.OK
        return answer(schema.Added(str(kept.peer), kept.name, new), status)

    async def _remove_peer(self, request: web.Request) -> web.Response:
        peer, note = await self._control.remove_peer(request.match_info["peer"])
        return answer(schema.Removed(str(peer), note))

    async def _ping(self, request: web.Request) -> web.Response:
        body = await decode(request, schema.Ping)
        target = self._control.find(body.target)
        pong = await self._control.node.ping(target, size=body.size, timeout=body.timeout)
        route = route_text(pong.path) or "local"
        return answer(schema.Pong(str(pong.peer), pong.rtt, route, pong.size))

    async def _reload(self, request: web.Request) -> web.Response:
        changes = await self._control.reload()
        return answer(schema.Reloaded(changes.applied, changes.restart))

    async def _stop(self, request: web.Request) -> web.Response:
        # Later, so that the answer still leaves.
        asyncio.get_running_loop().call_later(0.01, self._control.stop)
        return answer(schema.Stopping(pid=os.getpid()), HTTPStatus.ACCEPTED)


def answer(value: msgspec.Struct, status: int = HTTPStatus.OK) -> web.Response:
    """A value as a JSON response."""
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json"
    )


async def decode(request: web.Request, kind: type[T]) -> T:
    """The body of a request; `Malformed` says which field is wrong."""
    body = await request.read()
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(str(error)) from None


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error as JSON with the status that fits."""
    try:
        return await handler(request)
    except RovyError as error:
        status, reason = _meaning(error)
        return fail(status, reason, str(error))
    except web.HTTPException as error:
        return fail(error.status, error.reason.lower(), _explain(request, error))
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return fail(500, "internal error", "the daemon made a mistake; its log has the details")


def fail(status: int, reason: str, message: str) -> web.Response:
    """An error as a JSON response."""
    return answer(schema.Failure(schema.Error(reason, message, _REMEDIES.get(reason, ""))), status)


_REMEDIES: Final = {
    "no answer": "see whether the other node runs and whether a firewall drops UDP between you",
    "no route": "add the node with its address: rovyctl peer add /ip4/…/udp/…/rovy/…",
    "not found": "`rovyctl peers` lists what is known",
}


def _meaning(error: RovyError) -> tuple[int, str]:
    match error:
        case Unreachable(reason=reason):
            return HTTPStatus.GATEWAY_TIMEOUT, reason
        case NotFound():
            return HTTPStatus.NOT_FOUND, "not found"
        case Conflict():
            return HTTPStatus.CONFLICT, "conflict"
        case Malformed():
            return HTTPStatus.BAD_REQUEST, "malformed"
        case UsageError():
            return HTTPStatus.BAD_REQUEST, "usage"
    return HTTPStatus.INTERNAL_SERVER_ERROR, "failed"


def _explain(request: web.Request, error: web.HTTPException) -> str:
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return f"the request is longer than {schema.MAX_BODY} bytes"
    return f"{request.method} {request.path[:100]}: {error.reason.lower()}; see docs/api.md"
