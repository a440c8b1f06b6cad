"""Settings written out, for people and programs; the network key is left out."""

import json
from typing import Any

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
        "log_level": settings.log_level,
        "log_format": settings.log_format,
        "peer": [{"address": str(p.address), "name": p.name} for p in settings.peers],
    }


def toml(settings: Settings) -> str:
    """The same as a file that could be read again."""
    values = document(settings)
    peers = values.pop("peer")
    private = values.pop("network") == "private"
    lines = [f"{name} = {_value(value)}" for name, value in values.items()]
    if private:
        lines.append('# network_key = "…"   set; not shown')
    for peer in peers:
        lines += [
            "",
            "[[peer]]",
            *(f"{key} = {_value(text)}" for key, text in peer.items() if text),
        ]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """JSON's texts, numbers, booleans and lists are TOML's too."""
    return json.dumps(value, ensure_ascii=False)
