"""The HTTP server: routes, decoding, errors."""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from rovy import __version__
from rovy.address.keys import PeerID, address_text
from rovy.address.multiaddr import Endpoint, Multiaddr
from rovy.api import schema
from rovy.api.control import Conflict, Control, NotFound
from rovy.api.dht import get_record, look_up, put_record
from rovy.api.dht_views import dht_view, size_view, steps_view
from rovy.api.routes import LINES, ROUTES
from rovy.api.views import (
    counters_view,
    discovery_view,
    firewall_view,
    interface_view,
    map_view,
    name_of,
    peers_view,
    route_text,
    route_view,
    session_view,
    traced_view,
)
from rovy.errors import Malformed, RovyError, Unreachable, UsageError
from rovy.node.events import StepInfo

SHUTDOWN: Final = 0.5
"""Seconds that requests under way have when the daemon stops."""
STREAMS: Final = 32
"""Event streams at a time."""
FIRST_PING: Final = 0.5
"""Seconds for the first ping that proves a route, doubled for each further one."""

T = TypeVar("T", bound=schema.Request)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = logging.getLogger(__name__)


class Server:
    """Serves one daemon."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._streams: set[asyncio.Task[object]] = set()
        self._open: web.AppRunner | None = None
        app = web.Application(client_max_size=schema.MAX_BODY, middlewares=[errors])
        for route in ROUTES:
            app.router.add_route(route.method, route.path, getattr(self, route.handler))
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN
        )

    async def start(self, sock: socket.socket) -> None:
        """Serve on a listening socket."""
        await self._runner.setup()
        await web.SockSite(self._runner, sock).start()

    async def serve_metrics(self, endpoint: Endpoint) -> None:
        """Serve /metrics, and nothing else, on TCP. Raises `UsageError` where it cannot listen."""
        app = web.Application(middlewares=[errors])
        app.router.add_get("/metrics", self._metrics)
        self._open = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN)
        await self._open.setup()
        try:
            await web.TCPSite(self._open, endpoint.host, endpoint.port).start()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise UsageError(
                f"metrics_listen: cannot listen on {endpoint}: {reason}; name another port"
            ) from None

    async def close(self) -> None:
        """Answer what is under way, briefly, and stop."""
        for stream in self._streams:
            stream.cancel()
        for runner in filter(None, (self._open, self._runner)):
            await runner.cleanup()

    # Looking

    async def _info(self, request: web.Request) -> web.Response:
        node, settings = self._control.node, self._control.settings
        stats, known = node.stats(), node.map()
        return answer(
            schema.Info(
                version=__version__,
                data_plane=node.data_plane,
                peer_id=str(node.peer_id),
                address=address_text(node.peer_id.address),
                uptime=time.monotonic() - self._control.started,
                pid=os.getpid(),
                user=self._control.user(),
                capabilities=self._control.capabilities(),
                listen=[str(Multiaddr.of(each.bound)) for each in node.sockets],
                port=node.sockets[0].bound.port if node.sockets else 0,
                addresses=[str(address) for address in node.addresses()],
                network="private" if settings.private else "public",
                peers=stats.peerings,
                sessions=stats.sessions,
                map=schema.MapSize(known.nodes, known.links),
                network_size=size_view(node.dht_info()),
                interface=interface_view(node.interface, settings.interface_mtu),
                config_file=self._control.config_file,
                key_file=str(settings.key_file),
                state_dir=str(settings.state_dir),
                socket=str(settings.socket),
                problems=self._control.problems(),
            )
        )

    async def _peers(self, request: web.Request) -> web.Response:
        kept, found = self._control.kept(), self._control.discovery()
        wanted = {each.peer for each in found.nodes if each.wanted}
        return answer(schema.Peers(peers_view(kept, self._control.node.sessions(), wanted)))

    async def _discovery(self, request: web.Request) -> web.Response:
        return answer(discovery_view(self._control.kept(), self._control.discovery()))

    async def _sessions(self, request: web.Request) -> web.Response:
        kept = self._control.kept()
        infos = self._control.node.sessions()
        return answer(schema.Sessions([session_view(i, name_of(kept, i.peer)) for i in infos]))

    async def _routes(self, request: web.Request) -> web.Response:
        kept = self._control.kept()
        routes = [route_view(kept, info) for info in self._control.node.routes()]
        return answer(schema.Routes(routes))

    async def _map(self, request: web.Request) -> web.Response:
        node = self._control.node
        return answer(map_view(self._control.kept(), node.map(), node.map_nodes()))

    async def _firewall(self, request: web.Request) -> web.Response:
        return answer(firewall_view(self._control.kept(), await self._control.firewall()))

    async def _counters(self, request: web.Request) -> web.Response:
        node = self._control.node
        return answer(schema.Counters(counters_view(node.stats(), node.dht_info())))

    async def _dht(self, request: web.Request) -> web.Response:
        return answer(dht_view(self._control.kept(), self._control.node.dht_info()))

    async def _openapi(self, request: web.Request) -> web.Response:
        from rovy.api.openapi import document

        return answer(document())

    async def _metrics(self, request: web.Request) -> web.Response:
        from rovy.api.metrics import CONTENT_TYPE, exposition  # brings a library few ask for

        body = exposition(self._control)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if len(self._streams) >= STREAMS:
            raise Conflict(f"{STREAMS} event streams are open: close one")
        response = web.StreamResponse(headers={"Content-Type": LINES})
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
            name = name_of(self._control.kept(), event.peer)
            line = schema.Event(time.time(), event.kind, str(event.peer), name, event.detail)
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

    async def _resolve(self, request: web.Request) -> web.Response:
        body = await decode(request, schema.Resolve)
        steps: list[StepInfo] = []
        try:
            return answer(await self._resolved(body, steps))
        except Unreachable as error:
            status, reason = _meaning(error)
            asked = steps_view(self._control.kept(), steps)
            return fail(status, reason, str(error), asked)

    async def _resolved(self, body: schema.Resolve, steps: list[StepInfo]) -> schema.Resolved:
        node, kept = self._control.node, self._control.kept()
        target = self._control.find(body.target)
        began = time.monotonic()
        infos = await node.resolve(
            target, timeout=body.timeout, dht=body.dht, trace=steps.append if body.dht else None
        )
        took = time.monotonic() - began
        peer = infos[0].peer if infos else node.peer_id
        if infos:
            await self._prove(peer, body.timeout)
            infos = [info for info in node.routes() if info.peer == peer] or infos
        return schema.Resolved(
            peer_id=str(peer),
            address=address_text(peer.address),
            name=name_of(kept, peer),
            took=took,
            routes=[route_view(kept, info) for info in infos],
            steps=steps_view(kept, steps),
        )

    async def _prove(self, peer: PeerID, timeout: float) -> None:
        """Make sure that a node answers now: its session may be a dead one."""
        loop = asyncio.get_running_loop()
        end, patience = loop.time() + timeout, FIRST_PING
        while (left := end - loop.time()) > 0:
            with contextlib.suppress(Unreachable):
                await self._control.node.ping(peer, timeout=min(patience, left))
                return
            patience *= 2
        raise Unreachable("no answer", f"{peer} did not answer in {timeout:g} s")

    async def _lookup(self, request: web.Request) -> web.Response:
        return answer(await look_up(self._control, await decode(request, schema.Lookup)))

    async def _get_record(self, request: web.Request) -> web.Response:
        return answer(await get_record(self._control, await decode(request, schema.GetRecord)))

    async def _put_record(self, request: web.Request) -> web.Response:
        return answer(await put_record(self._control, await decode(request, schema.PutRecord)))

    async def _traceroute(self, request: web.Request) -> web.Response:
        body = await decode(request, schema.Traceroute)
        target = self._control.find(body.target)
        traced = await self._control.node.traceroute(target, timeout=body.timeout)
        return answer(traced_view(self._control.kept(), traced))

    async def _allow(self, request: web.Request) -> web.Response:
        body = await decode(request, schema.AllowRule)
        rule, new = await self._control.allow(body.rule)
        status = HTTPStatus.CREATED if new else HTTPStatus.OK
        return answer(schema.Allowed(str(rule), new), status)

    async def _deny(self, request: web.Request) -> web.Response:
        rule, note = await self._control.disallow(request.match_info["rule"])
        return answer(schema.Denied(str(rule), note))

    async def _reload(self, request: web.Request) -> web.Response:
        changes = await self._control.reload()
        return answer(schema.Reloaded(changes.applied, changes.restart))

    async def _stop(self, request: web.Request) -> web.Response:
        # Later, so that the answer still leaves.
        asyncio.get_running_loop().call_later(0.01, self._control.stop)
        return answer(schema.Stopping(pid=os.getpid()), HTTPStatus.ACCEPTED)


def answer(value: object, status: int = HTTPStatus.OK) -> web.Response:
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


def fail(status: int, reason: str, message: str, steps: Sequence[schema.Step] = ()) -> web.Response:
    """An error as a JSON response, and the steps of a lookup that led to it."""
    error = schema.Error(reason, message, _remedy(status, reason))
    return answer(schema.Failure(error, list(steps)), status)


def _remedy(status: int, reason: str) -> str:
    if status == HTTPStatus.GATEWAY_TIMEOUT:
        return _BEYOND.get(reason, _BEYOND["no answer"])
    return _HERE.get(reason, "")


_HERE: Final = {"not found": "`rovyctl peers`, `map` and `firewall list` show what is known"}
_BEYOND: Final = {
    "no answer": "see whether the other node runs and whether a firewall drops UDP between you",
    "no route": (
        "`rovyctl map` lists the nodes that are known; add another one with its address:"
        " rovyctl peer add /ip4/…/udp/…/rovy/…"
    ),
    "not found": (
        "see whether it is spelled right and its node runs, and with `rovyctl dht stats` whether"
        " this one knows others"
    ),
}
"""Where others are concerned."""


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
