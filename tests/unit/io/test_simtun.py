"""The simulated interface behaves as the real one does towards its sink."""

from rovy.io.base import Interface
from rovy.io.simtun import SimInterface


class Sink:
    def __init__(self):
        self.read, self.problems = [], []

    def transmit(self, packets):
        self.read.append(packets)

    def interface_changed(self, problem):
        self.problems.append(problem)


def test_packets_go_both_ways_while_it_works():
    interface, sink = SimInterface(), Sink()
    as_protocol: Interface = interface
    as_protocol.open(bytes(16), sink)
    interface.inject([b"one", b"two"])
    interface.write([memoryview(b"in")])
    interface.change("broken")
    interface.inject([b"three"])
    interface.write([b"lost"])
    interface.change("")
    assert sink.read == [[b"one", b"two"]]
    assert sink.problems == ["", "broken", ""]
    assert interface.written == [b"in"]
    assert interface.counters() == {
        "packets_read": 2,
        "bytes_read": 6,
        "packets_written": 1,
        "bytes_written": 2,
        "interface not open": 2,
    }


def test_nothing_after_it_was_closed():
    interface, sink = SimInterface(), Sink()
    interface.open(bytes(16), sink)
    interface.close()
    interface.inject([b"late"])
    interface.write([b"late"])
    assert (sink.read, interface.written) == ([], [])
    assert interface.counters() == {"interface not open": 2}
