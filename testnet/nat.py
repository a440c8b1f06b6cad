"""Address translation in a router of a lab, with state that expires: nftables and conntrack.

Both kinds let in only who was written to before. `port-restricted` maps an inside address and
port to one outside port, whoever is written to; `symmetric` to another port for each peer.
"""

import socket
import struct
from typing import Literal

from testnet.namespace import inside
from testnet.netns import Host, LabError

Kind = Literal["port-restricted", "symmetric"]

# The hash gives an inside address and port always the same one of 16384 outside ports, which
# little-endian machines swap: any port may come out.
UDP_RULES: dict[Kind, str] = {
    "port-restricted": "masquerade to "
    ":jhash ip saddr . udp sport mod 16384 seed {seed} offset 40000",
    "symmetric": "masquerade fully-random",
}

# What comes uninvited is dropped: forwarded it would make the inside public, and accepted by
# the router it would occupy the very port that an inside host needs to punch a hole to its sender.
RULES = """
table ip {table}
delete table ip {table}
table ip {table} {{
  chain mapping {{
    type nat hook postrouting priority srcnat
    oifname "{outside}" meta l4proto udp {udp}
    oifname "{outside}" masquerade
  }}
  chain forwarded {{
    type filter hook forward priority filter
    iifname "{outside}" oifname "{inside}" ct state new,invalid drop
  }}
  chain accepted {{
    type filter hook input priority filter
    iifname "{outside}" meta l4proto {{ tcp, udp }} ct state new,invalid drop
  }}
}}
"""

NETLINK_NETFILTER = 12
NLM_F_REQUEST, NLM_F_ACK = 0x1, 0x4
DELETE_CONNTRACK = 0x102  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE


class Nat:
    """The translation of IPv4 from one interface of a router to another."""

    def __init__(
        self, router: Host, inside_if: str, outside_if: str, kind: Kind, udp_timeout: float
    ) -> None:
        self.router = router
        self._interfaces = inside_if, outside_if
        self._kind = kind
        self._seed = 1
        router.forward()
        self.set_udp_timeout(udp_timeout)
        self._load()

    def set_udp_timeout(self, seconds: float) -> None:
        """How long a silent mapping lasts, in whole seconds, from its next packet on."""
        if seconds < 1:
            raise LabError(f"a UDP mapping cannot expire after {seconds:g} s, only after 1 or more")
        for name in ("udp_timeout", "udp_timeout_stream"):
            self.router.sysctl(f"net.netfilter.nf_conntrack_{name}", str(round(seconds)))

    def expire(self) -> None:
        """Forget every mapping now, as if all had been silent for too long."""
        forget_connections(self.router)

    def rebind(self) -> None:
        """Forget every mapping and choose other ports for the next, as a router that restarts."""
        self._seed += 1
        self._load()
        self.expire()

    def _load(self) -> None:
        inner, outer = self._interfaces
        udp = UDP_RULES[self._kind].format(seed=self._seed)
        rules = RULES.format(table=f"nat-{inner}-{outer}", inside=inner, outside=outer, udp=udp)
        self.router.run(["nft", "--file", "-"], stdin=rules)


def forget_connections(host: Host) -> None:
    """Empty a host's table of tracked connections."""
    with inside(host.namespace):
        netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    flags = NLM_F_REQUEST | NLM_F_ACK
    with netlink:
        netlink.send(struct.pack("=IHHIIBBH", 20, DELETE_CONNTRACK, flags, 1, 0, 0, 0, 0))
        (error,) = struct.unpack_from("=i", netlink.recv(4096), 16)
    if error:
        raise LabError(f"{host.name} keeps its connections: error {-error}")
