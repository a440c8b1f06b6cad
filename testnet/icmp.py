"""What a router says of a packet that is too big for its next link: RFC 1191, RFC 4443."""

import struct

ETHERNET = 14  # bytes of header before the IP packet
ETHERTYPE = 12
IPV4, IPV6 = 0x0800, 0x86DD
IPV6_MTU_MIN = 1280
DONT_FRAGMENT = 0x4000
ICMP, ICMPV6 = 1, 58


def too_big(frame: bytes, mtu: int) -> bytes | None:
    """The frame that tells the sender of `frame` the MTU; None where the sender may not be told.

    An emulated wire has no address, so it speaks with that of the packet's destination.
    """
    (ethertype,) = struct.unpack_from("!H", frame, ETHERTYPE)
    packet = frame[ETHERNET:]
    if ethertype == IPV4 and struct.unpack_from("!H", packet, 6)[0] & DONT_FRAGMENT:
        answer = _too_big_4(packet, mtu)
    elif ethertype == IPV6:
        answer = _too_big_6(packet, mtu)
    else:
        return None
    return frame[6:12] + frame[:6] + frame[12:14] + answer


def _too_big_4(packet: bytes, mtu: int) -> bytes:
    source, destination = packet[12:16], packet[16:20]
    quoted = packet[: (packet[0] & 0x0F) * 4 + 8]
    message = struct.pack("!BBxxHH", 3, 4, 0, mtu) + quoted
    message = _with_checksum(message, 2, b"")
    header = struct.pack("!BxHIBBH", 0x45, 20 + len(message), 0, 64, ICMP, 0)
    return _with_checksum(header + destination + source, 10, b"") + message


def _too_big_6(packet: bytes, mtu: int) -> bytes:
    source, destination = packet[8:24], packet[24:40]
    message = struct.pack("!BBxxI", 2, 0, mtu) + packet[: IPV6_MTU_MIN - 48]
    pseudo = destination + source + struct.pack("!II", len(message), ICMPV6)
    header = struct.pack("!IHBB", 6 << 28, len(message), ICMPV6, 64)
    return header + destination + source + _with_checksum(message, 2, pseudo)


def _with_checksum(data: bytes, offset: int, pseudo: bytes) -> bytes:
    """`data` with its internet checksum (RFC 1071), which covers the pseudo header, too."""
    summed = pseudo + data + bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(summed) // 2}H", summed))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return data[:offset] + struct.pack("!H", total ^ 0xFFFF) + data[offset + 2 :]
