"""Netlink messages as iproute2 sends them and as the kernel answers; broken ones do no harm."""

import errno
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.io.rtmessages import (
    InterfaceAddress,
    Link,
    Route,
    attribute,
    attributes,
    beginning,
    messages,
)
from rovy.io.rtnetlink import Netlink

ADDRESS = bytes.fromhex("fc01" + "00" * 13 + "01")
PREFIX = b"\xfc" + bytes(15)
DONE = "14000000 0300 0200 01000000 05000000 00000000"
FINE = "24000000 0200 0001 01000000 05000000 00000000" + "00" * 16


def octets(text):
    return bytes.fromhex(re.sub(r"\s", "", text))


class FakeKernel:
    """Answers every request with the same reads, and keeps the requests."""

    def __init__(self, *reads, port=0):
        self.reads, self.port, self.sent = list(map(octets, reads)), port, []

    def send(self, data):
        self.sent.append(data)

    def recvfrom(self, size):
        if not self.reads:
            raise TimeoutError
        return self.reads.pop(0), (self.port, 0)

    def close(self):
        pass


def asking(kernel):
    netlink = Netlink()
    netlink._sock.close()
    netlink._sock = kernel
    return netlink


# Recorded from iproute2 6.1, less number and port: interface 2 is rovy0, MTU 8955 is 0x22fb.
REQUESTS = {
    "ip link set rovy0 up": (
        lambda netlink: netlink.set_up(2),
        "20000000 1000 0500 00000000 02000000 01000000 01000000",
    ),
    "ip link set rovy0 down": (
        lambda netlink: netlink.set_up(2, False),
        "20000000 1000 0500 00000000 02000000 00000000 01000000",
    ),
    "ip link set rovy0 mtu 8955": (
        lambda netlink: netlink.set_mtu(2, 8955),
        "28000000 1000 0500 00000000 02000000 00000000 00000000 0800 0400 fb220000",
    ),
    "ip link set rovy0 addrgenmode none": (
        lambda netlink: netlink.refuse_link_local(2),
        "30000000 1000 0500 00000000 02000000 00000000 00000000"
        " 1000 1a00 0c00 0a00 0500 0800 01000000",
    ),
    "ip -6 address add fc01::1/128 dev rovy0 nodad noprefixroute": (
        lambda netlink: netlink.add_address(2, ADDRESS),
        "48000000 1400 0506 0a800000 02000000 1400 0200 fc010000000000000000000000000001"
        " 0800 0800 02020000 1400 0100 fc010000000000000000000000000001",
    ),
    "ip -6 route add fc00::/8 dev rovy0 proto static": (
        lambda netlink: netlink.add_route(2, PREFIX, 8),
        "38000000 1800 0506 0a080000 fe040001 00000000"
        " 1400 0100 fc000000000000000000000000000000 0800 0400 02000000",
    ),
}


@pytest.mark.parametrize("command", REQUESTS)
def test_requests_are_those_of_iproute2(command):
    call, recorded = REQUESTS[command]
    kernel = FakeKernel(FINE)
    call(asking(kernel))
    [sent] = kernel.sent
    assert sent[:8] + sent[16:] == octets(recorded)
    assert sent[8:16] == octets("01000000 00000000")


def test_link_is_parsed():
    """Recorded, less what is not read: a TUN device that is down."""
    answer = (
        "3c000000 1000 0000 01000000 05000000 0000 feff 02000000 90100000 00000000"
        " 0a00 0300 726f767930000000 0800 0d00 f4010000 0800 0400 dc050000"
    )
    found = asking(FakeKernel(answer, FINE)).link("rovy0")
    assert found == Link(2, "rovy0", 1500, False)
    risen = answer.replace("90100000", "91100000")
    assert asking(FakeKernel(risen, FINE)).link(2) == Link(2, "rovy0", 1500, True)


def test_missing_link_is_none():
    refusal = "24000000 0200 0001 01000000 05000000 edffffff" + "00" * 16
    assert asking(FakeKernel(refusal)).link(999) is None


ADDRESSES = (
    "50000000 1400 0200 01000000 05000000 0a8080fe 01000000"
    " 1400 0100 00000000000000000000000000000001"
    " 1400 0600 ffffffffffffffffecc91300ecc91300 0800 0800 80000000 0500 0b00 01000000"
    "48000000 1400 0200 01000000 05000000 0a808200 02000000"
    " 1400 0100 fc010000000000000000000000000001"
    " 1400 0600 fffffffffffffffff1c91300f1c91300 0800 0800 82020000"
)


def test_addresses_are_those_of_the_interface():
    assert asking(FakeKernel(ADDRESSES, DONE)).addresses(2) == [ADDRESS]


REFUSING = (
    "74000000 1800 0200 01000000 05000000 0a100000 fc030007 00000000 0800 0f00 611e0000"
    " 1400 0100 fc120000000000000000000000000000 0800 0600 00040000 0800 0400 01000000"
    " 2400 0c00 0000000000000000000000000000000000000000000000000000000000000000"
    " 0500 1400 00000000"
)
MULTIPATH = (
    "a8000000 1800 0200 01000000 05000000 0a200000 fe030001 00000000 0800 0f00 fe000000"
    " 1400 0100 fc340000000000000000000000000000 0800 0600 00040000"
    " 3c00 0900 1c000000 03000000 1400 0500 20010db8000000000000000000000002"
    " 1c000000 04000000 1400 0500 20010db8000100000000000000000002"
    " 2400 0c00 0000000000000000000000000000000000000000000000000000000000000000"
    " 0500 1400 00000000"
)
ELSEWHERE = REFUSING.replace("fc12", "2012")


def test_routes_of_all_kinds_are_parsed():
    kernel = FakeKernel(REFUSING + ELSEWHERE, MULTIPATH + DONE)
    refusing, multipath = asking(kernel).routes(0xFC)
    assert (refusing.bits, refusing.table, refusing.type, refusing.out) == (16, 7777, 7, (1,))
    assert (multipath.bits, multipath.table, multipath.type, multipath.out) == (32, 254, 1, (3, 4))
    assert [str(refusing), str(multipath)] == ["fc12::/16", "fc34::/32"]


def test_refusals_name_the_operation_and_the_reason():
    text = b"mtu less than device minimum\0".hex()
    said = (
        "48000000 0200 0003 01000000 05000000 eaffffff 28000000100005000a00000000000000 2100 0100"
        + text
        + "000000"
    )
    with pytest.raises(OSError, match="MTU to 10: mtu less than device minimum") as caught:
        asking(FakeKernel(said)).set_mtu(2, 10)
    assert caught.value.errno == errno.EINVAL
    unsaid = "24000000 0200 0001 01000000 05000000 ffffffff" + "00" * 16
    with pytest.raises(PermissionError) as refused:
        asking(FakeKernel(unsaid)).set_up(2)
    assert refused.value.strerror == "set the interface up: Operation not permitted"


def test_an_interrupted_list_is_asked_for_again():
    again = DONE.replace("01000000 05", "02000000 05")
    interrupted = ADDRESSES.replace("1400 0200 01", "1400 1200 01")
    kernel = FakeKernel(interrupted, DONE, ADDRESSES.replace("0200 01", "0200 02"), again)
    assert asking(kernel).addresses(2) == [ADDRESS]
    assert len(kernel.sent) == 2


def test_only_the_kernel_answers_and_only_in_time():
    with pytest.raises(OSError, match="list addresses: no answer from the kernel"):
        asking(FakeKernel(ADDRESSES, DONE, port=77)).addresses(2)
    with pytest.raises(OSError, match="no answer from the kernel"):
        asking(FakeKernel(DONE.replace("01000000 05", "77000000 05"))).addresses(2)


def test_answers_are_bounded(monkeypatch):
    monkeypatch.setattr("rovy.io.rtnetlink.ANSWERS", 3)
    with pytest.raises(OSError, match="more than 3 answers"):
        asking(FakeKernel(ADDRESSES, ADDRESSES, ADDRESSES)).addresses(2)


def test_the_loopback_interface_is_found():
    with Netlink() as netlink:
        found = netlink.link("lo")
        assert netlink.link(found.index) == found
        assert netlink.link("no-such-thing") is None
    assert (found.index, found.name) == (1, "lo")


@given(st.binary(max_size=200))
def test_nothing_breaks_the_parsers(data):
    for parse in (Link.parse, InterfaceAddress.parse, Route.parse, lambda d: list(messages(d))):
        with suppress(OSError):
            parse(data)
    assert sum(map(len, attributes(data).values())) <= len(data)


@given(st.lists(st.tuples(st.integers(1, 0x3FFF), st.binary(max_size=9)), unique_by=lambda a: a[0]))
def test_attributes_are_read_as_written(pairs):
    assert attributes(b"".join(attribute(*pair) for pair in pairs)) == dict(pairs)


@given(st.binary(min_size=16, max_size=16), st.integers(0, 255))
def test_beginning_finds_its_routes(prefix, first):
    found = beginning(first) in octets(ELSEWHERE.replace("2012" + "0" * 28, prefix.hex()))
    assert found == (prefix[0] == first)
