"""Settings written out, for people and programs; the network key is left out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rovy.config.reader import KEYS
from rovy.config.settings import Settings


def document(settings: Settings) -> dict[str, Any]:
    """All settings under the names they have in the file."""
    return {
        "listen": [str(address) for address in settings.listen],
        "port_tries": settings.port_tries,
        "accept_peers": settings.accept_peers,
        "max_peers": settings.max_peers,
        "allow": sorted(map(str, settings.allow)),
        "deny": sorted(map(str, settings.deny)),
        "network": "private" if settings.private else "public",
        "key_file": str(settings.key_file),
        "state_dir": str(settings.state_dir),
        "socket": str(settings.socket),
        "interface": settings.interface,
        "interface_name": settings.interface_name,
        "interface_mtu": settings.interface_mtu,
        "firewall": settings.firewall,
        "firewall_allow": [str(rule) for rule in settings.firewall_allow],
        "map_size": settings.map_size,
        "anchors": [str(peer) for peer in settings.anchors],
        "publish_addresses": settings.publish_addresses,
        "discovery": settings.discovery,
        "lan_peers": settings.lan_peers,
        "discovery_interfaces": list(settings.discovery_interfaces),
        "metrics_listen": str(settings.metrics_listen or ""),
        "log_level": settings.log_level,
        "log_format": settings.log_format,
        "peer": [{"address": str(p.address), "name": p.name} for p in settings.peers],
    }


def origins(path: Path, lines: Mapping[str, int], peers: Sequence[int]) -> dict[str, Any]:
    """Where each setting of a file comes from: `FILE:LINE`, `default`, or another setting."""

    def origin(name: str) -> str:
        if name in lines:
            return f"{path}:{lines[name]}"
        return "state_dir" if name == "key_file" and "state_dir" in lines else "default"

    found: dict[str, Any] = {name: origin(name) for name in KEYS if name != "peer"}
    return {**found, "peer": [f"{path}:{line}" for line in peers]}


def toml(settings: Settings, origins: Mapping[str, Any] | None = None) -> str:
    """The same as a file that could be read again, with the origins as comments."""
    values = document(settings)
    peers = values.pop("peer")
    private = values.pop("network") == "private"
    said = {name: f"  # {origin}" for name, origin in (origins or {}).items()}
    lines = [f"{name} = {_value(value)}{said.get(name, '')}" for name, value in values.items()]
    if private:
        lines.append(f'# network_key = "…", not shown{said.get("network_key", "")}')
    for number, peer in enumerate(peers):
        lines += [
            "",
            f"[[peer]]  # {origins['peer'][number]}" if origins else "[[peer]]",
            *(f"{key} = {_value(text)}" for key, text in peer.items() if text),
        ]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """JSON's texts, numbers, booleans and lists are TOML's too."""
    return json.dumps(value, ensure_ascii=False)
