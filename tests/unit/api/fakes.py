"""A daemon as the API sees it, with figures that are easily told apart."""

from dataclasses import dataclass, field

from rovy.address.keys import PeerID
from rovy.address.label import Label
from rovy.address.multiaddr import Endpoint, Multiaddr
from rovy.address.path import Direct, Routed
from rovy.api.control import KeptPeer
from rovy.node.events import AnchorInfo, DhtInfo, PathInfo, SessionInfo, Stats

A = PeerID.parse("bafzqaibwj6dr3o63g4eguar73v2csws4wqqwux5sarwydofheqsmow33au")
B = PeerID.parse("bafzqaifskz2tcetxnaepehuaxmthnr7dzmebzr2osz677ox7aok4f3wghe")
AT_A = Endpoint("192.0.2.1", 1312)
STATS = Stats(
    dropped={"replay": 3},
    refused={"mac1": 5},
    notices_sent={"link_down": 7},
    notices_believed={"u_turn": 11},
    notices_ignored={"not ours": 13},
    underlay={"packets_sent": 17, "bytes_sent": 19, "packets_received": 23, "truncated": 29},
    node={"no handler": 31},
    forwarded_packets=37,
    forwarded_bytes=41,
    sessions=2,
    peerings=1,
    routing={"new record": 53},
    interface={"bytes_read": 43, "hop limit": 47},
)
DHT = DhtInfo(
    contacts=601,
    buckets=602,
    values={"locator": 603, "129": 604},
    published=605,
    size=606.5,
    exact=False,
    lookups=607,
    found=608,
    requests=609,
    unanswered=610,
    answered={"ping": 611, "find": 612},
    joined=True,
    anchors=(AnchorInfo(A, "seated", 3, 0.25), AnchorInfo(B, "candidate", 5, 0.5)),
)


def path(route: object, *, active: bool, rtt: float | None, number: int) -> PathInfo:
    return PathInfo(route, True, active, False, False, rtt, 0.25, 1400, *range(number, number + 4))


def session(peer: PeerID, slot: int, *paths: PathInfo) -> SessionInfo:
    return SessionInfo(
        1, peer, "open", 60.0, 5.0, True, True, slot, slot, "", 101, 102, 103, 104, paths
    )


WITH_A = session(
    A,
    7,
    path(Direct(0, AT_A), active=True, rtt=0.0125, number=201),
    path(Direct(1, AT_A), active=False, rtt=9.0, number=301),  # differs by its socket alone
    path(Routed(Label(b"\x01\x02")), active=False, rtt=None, number=401),
)
WITH_STRANGER = session(B, 0, path(Direct(0, AT_A), active=True, rtt=0.5, number=501))


@dataclass
class FakeNode:
    """What the metrics ask of a node."""

    data_plane: str = "pure"
    infos: list[SessionInfo] = field(default_factory=lambda: [WITH_A, WITH_STRANGER])
    counted: Stats = STATS
    dht: DhtInfo = DHT

    def dht_info(self) -> DhtInfo:
        return self.dht

    def stats(self) -> Stats:
        return self.counted

    def sessions(self) -> list[SessionInfo]:
        return self.infos


@dataclass
class FakeControl:
    """See `rovy.api.control.Control`."""

    node: FakeNode = field(default_factory=FakeNode)
    peers: dict[PeerID, KeptPeer] = field(default_factory=dict)

    def kept(self) -> dict[PeerID, KeptPeer]:
        return self.peers


def kept(peer: PeerID, name: str) -> KeptPeer:
    return KeptPeer(peer, name, (Multiaddr.of(AT_A, peer),), "config")
