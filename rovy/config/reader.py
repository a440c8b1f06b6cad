"""The configuration file: TOML into `Settings`; every error names file, line and remedy."""

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rovy.config.lines import Lines
from rovy.config.places import Places
from rovy.config.settings import (
    FIREWALLS,
    KEY_FILE,
    LOG_FORMATS,
    LOG_LEVELS,
    MAP_SIZES,
    MAX_ANCHORS,
    MAX_PATTERNS,
    PeerSetting,
    Settings,
)
from rovy.config.values import (
    BadItem,
    boolean,
    choice,
    integer,
    list_of,
    read_interface_name,
    read_interface_pattern,
    read_listen,
    read_metrics_listen,
    read_network_key,
    read_peer,
    read_peer_id,
    string,
)
from rovy.discovery.const import MAX_LAN_PEERS
from rovy.discovery.const import MODES as DISCOVERY_MODES
from rovy.errors import Malformed, UsageError
from rovy.fcnet.rules import MOST as MOST_RULES
from rovy.fcnet.rules import Rule

MAX_BYTES: Final = 1 << 20
"""The longest configuration file that is read."""
MAX_PEERS: Final = 3839
"""As many as there are slots."""

_READERS: Final[dict[str, Callable[[object], object]]] = {
    "listen": lambda value: tuple(_some(list_of(read_listen, 16)(value))),
    "port_tries": integer(0, 1000),
    "accept_peers": boolean,
    "max_peers": integer(0, MAX_PEERS),
    "allow": lambda value: frozenset(list_of(read_peer_id)(value)),
    "deny": lambda value: frozenset(list_of(read_peer_id)(value)),
    "network_key": lambda value: read_network_key(string(value)),
    "map_size": integer(*MAP_SIZES),
    "anchors": lambda value: tuple(dict.fromkeys(list_of(read_peer_id, MAX_ANCHORS)(value))),
    "publish_addresses": boolean,
    "discovery": choice(*DISCOVERY_MODES),
    "lan_peers": integer(0, MAX_LAN_PEERS),
    "discovery_interfaces": lambda value: tuple(
        list_of(read_interface_pattern, MAX_PATTERNS)(value)
    ),
    "metrics_listen": lambda value: read_metrics_listen(string(value)),
    "interface": boolean,
    "interface_name": lambda value: read_interface_name(string(value)),
    "interface_mtu": integer(1280, 65535),
    "firewall": choice(*FIREWALLS),
    "firewall_allow": lambda value: tuple(dict.fromkeys(list_of(Rule.parse, MOST_RULES)(value))),
    "log_level": choice(*LOG_LEVELS),
    "log_format": choice(*LOG_FORMATS),
}
_PATHS: Final = {"key_file", "state_dir", "socket"}
_PEER_KEYS: Final = {"address", "name"}
KEYS: Final = sorted({*_READERS, *_PATHS, "peer"})
"""All keys of a configuration file."""


class ConfigError(Malformed):
    """A configuration file that cannot be used; the message begins with its name and line."""


def read_settings(path: Path, places: Places, *, required: bool = True) -> Settings:
    """The settings of a file; the defaults where it is missing and not `required`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        if not required:
            return Settings.default(places)
        raise ConfigError(f"{path}: no such file; leave --config out to run without") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; check its mode") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: longer than {MAX_BYTES} bytes; is it the right file?")
    return parse_settings(data, path, places)


def read_lines(path: Path) -> tuple[dict[str, int], list[int]]:
    """On which lines the settings of a good file stand, and its peers; none where it is missing."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}, []
    table, lines = _load(text, path), Lines(text)
    peers = [lines.of_peer(number, "") for number in range(len(table.pop("peer", [])))]
    return {key: lines.of(key) for key in table}, peers


def parse_settings(data: bytes, path: Path, places: Places) -> Settings:
    """The settings in the text of a file at `path`."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8; save the file in that encoding") from None
    return _Reader(path, Lines(text), places).read(_load(text, path))


def _load(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).rpartition(" (at ")
        where = place.rstrip(")").replace("line ", "").replace(", column ", ":")
        if where == "end of document":
            where = str(text.count("\n") + 1)
        reason = message
    except (ValueError, RecursionError):
        where, reason = "1", "a number too long or values nested too deeply"
    # Outside the handler: the parser's error holds the text, which may hold the network key.
    raise ConfigError(f"{path}:{where}: not TOML: {reason}; text values stand in quotes")


class _Reader:
    """Reads one file."""

    def __init__(self, path: Path, lines: Lines, places: Places) -> None:
        self._path, self._lines, self._places = path, lines, places

    def read(self, table: dict[str, Any]) -> Settings:
        self._refuse_unknown(table, KEYS, None)
        values = {key: self._value(key, value) for key, value in table.items() if key != "peer"}
        settings = Settings.default(self._places)
        if "state_dir" in values and "key_file" not in values:
            values["key_file"] = values["state_dir"] / KEY_FILE
        settings = replace(settings, **values, peers=self._peers(table.get("peer", [])))
        try:
            settings.check()
        except UsageError as error:
            raise ConfigError(f"{self._path}: {error}") from None
        return settings

    def _value(self, key: str, value: object) -> Any:
        try:
            return self._file(value) if key in _PATHS else _READERS[key](value)
        except Malformed as error:
            item = error.item if isinstance(error, BadItem) else None
            raise self._error(self._lines.of(key, item), key, error) from None

    def _peers(self, value: object) -> tuple[PeerSetting, ...]:
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            problem = Malformed('write [[peer]] on a line of its own, below it address = "…"')
            raise self._error(self._lines.of("peer"), "peer", problem)
        if len(value) > MAX_PEERS:
            problem = Malformed(f"{len(value)} entries; at most {MAX_PEERS} are taken")
            raise self._error(self._lines.of("peer"), "peer", problem)
        return tuple(self._peer(number, entry) for number, entry in enumerate(value))

    def _peer(self, number: int, entry: dict[str, Any]) -> PeerSetting:
        self._refuse_unknown(entry, sorted(_PEER_KEYS), number)
        key = "address"
        try:
            if key not in entry:
                raise Malformed('missing: add a line such as address = "/ip4/…/udp/…/rovy/…"')
            read_peer(string(entry[key]))
            key = "name"
            return read_peer(entry["address"], string(entry.get(key, "")))
        except Malformed as error:
            line = self._lines.of_peer(number, key)
            raise self._error(line, f"peer {number + 1}: {key}", error) from None

    def _refuse_unknown(self, table: dict[str, Any], known: list[str], peer: int | None) -> None:
        for key in table:
            if key not in known:
                line = self._lines.of(key) if peer is None else self._lines.of_peer(peer, key)
                raise self._error(
                    line, ascii(key), Malformed(f"unknown setting{_guess(key, known)}")
                )

    def _file(self, value: object) -> Path:
        """A path, relative to the file it stands in."""
        text = string(value)
        if not text or "\0" in text:
            raise Malformed("an empty path: name a file, or leave the line out")
        if text == "~" or text.startswith("~/"):
            return self._places.home / text[2:]
        return self._path.absolute().parent / text

    def _error(self, line: int, key: str, problem: Malformed) -> ConfigError:
        return ConfigError(f"{self._path}:{line}: {key}: {problem}")


def _guess(key: str, known: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(key, known, 1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; the settings are {', '.join(known)}"


def _some(values: list[Any]) -> list[Any]:
    if not values:
        raise Malformed("an empty list: name an address, or leave the line out")
    return values
