"""Requests are decoded strictly, errors get the status that fits."""

import asyncio
import json

import msgspec
import pytest
from aiohttp import web

from rovy.api import schema
from rovy.api.control import Conflict, NotFound
from rovy.api.server import decode, errors
from rovy.errors import Malformed, Unreachable, UsageError


class FakeRequest:
    method, path = "POST", "/v1/ping"

    def __init__(self, body=b""):
        self.body = body

    async def read(self):
        return self.body


def read(body: bytes, kind=schema.Ping):
    return asyncio.run(decode(FakeRequest(body), kind))


def test_defaults():
    assert read(b'{"target": "x"}') == schema.Ping("x", 0, 5.0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"{",
        b"[" * 100_000,
        b'{"target": 3}',
        b'{"target": ""}',
        b'{"target": "%s"}' % (b"x" * 1025),
        b'{"target": "x", "size": -1}',
        b'{"target": "x", "size": 16385}',
        b'{"target": "x", "size": 1.5}',
        b'{"target": "x", "timeout": 0}',
        b'{"target": "x", "timeout": 601}',
        b'{"target": "x", "timeout": NaN}',
        b'{"target": "x", "timeout": 1e999}',
        b'{"target": "x", "tmieout": 1}',
    ],
)
def test_hostile_bodies_are_malformed(body):
    with pytest.raises(Malformed):
        read(body)


def test_name_is_bounded():
    with pytest.raises(Malformed):
        read(msgspec.json.encode({"address": "/x", "name": "n" * 64}), schema.AddPeer)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Malformed("bad"), 400, "malformed"),
        (UsageError("bad"), 400, "usage"),
        (NotFound("gone"), 404, "not found"),
        (Conflict("taken"), 409, "conflict"),
        (Unreachable("no answer", "silence"), 504, "no answer"),
        (web.HTTPNotFound(), 404, "not found"),
        (web.HTTPMethodNotAllowed("PUT", ["GET"]), 405, "method not allowed"),
        (web.HTTPRequestEntityTooLarge(1, 2), 413, "request entity too large"),
        (ValueError("secret"), 500, "internal error"),
    ],
)
def test_errors_are_json(error, status, reason):
    async def handler(request):
        raise error

    response = asyncio.run(errors(FakeRequest(), handler))
    document = json.loads(response.body)
    assert response.status == status
    assert document["error"]["reason"] == reason
    assert document["error"]["message"]
    assert "secret" not in document["error"]["message"]
