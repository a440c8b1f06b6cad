"""Every implementation of the data plane, and small helpers to fill its tables."""

from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct
from rovy.dataplane.pure import PureDataPlane
from rovy.dataplane.types import FORWARD_CODEC
from rovy.wire.datagram import Type

IMPLEMENTATIONS = {"pure": PureDataPlane}


def direct(number, port=1312):
    """The path from some node's only socket to node `number`."""
    return Direct(0, Endpoint(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", port))


def address(number):
    """The address in fc00::/8 of node `number`."""
    return b"\xfc" + number.to_bytes(15, "big")


def key(number):
    """A session key; the same number gives the same key."""
    return bytearray(number.to_bytes(32, "big"))


def open_session(plane, session, path, *, mine, theirs, receive, send, mtu=9000, confirmed=True):
    """A session in full: receiver indexes `mine` and `theirs`, keys `receive` and `send`."""
    plane.add_session(session, address(session))
    plane.add_path(session, path)
    plane.set_path(session, path, mtu)
    plane.set_direct(session, path, mtu)
    plane.add_opener(session, mine, key(receive), confirmed=confirmed)
    plane.set_sealer(session, theirs, key(send), FORWARD_CODEC)


def feed(plane, datagrams, source, now=1.0):
    """Hand datagrams of one size (the last possibly shorter) to `receive` as one batch."""
    buffer = bytearray(b"".join(datagrams))
    return plane.receive(buffer, len(buffer), len(datagrams[0]), source, now)


def split(run):
    """The datagrams of a run."""
    data = bytes(run.data)
    return [data[at : at + run.size] for at in range(0, len(data), run.size)]


def hello(filler, size=64):
    """Something that a data plane takes for a hello and hands on as it is."""
    return bytes((Type.HELLO,)) + filler.to_bytes(size - 1, "big")
