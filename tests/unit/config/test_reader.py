"""Configuration files: what is read, and that errors lead to the line at fault."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.address import Endpoint, Multiaddr, PeerID
from rovy.config.places import Places
from rovy.config.reader import KEYS, ConfigError, parse_settings, read_settings
from rovy.config.settings import PUBLIC_NETWORK, RELOADABLE, Settings
from rovy.config.show import document, toml
from rovy.config.values import write_network_key
from rovy.errors import Malformed

PLACES = Places.of(7, {}, Path("/home/u"))
FILE = Path("/etc/rovy/rovy.toml")
A = "bafzqaibwj6dr3o63g4eguar73v2csws4wqqwux5sarwydofheqsmow33au"
B = "bafzqaifskz2tcetxnaepehuaxmthnr7dzmebzr2osz677ox7aok4f3wghe"
NETWORK_KEY = write_network_key(bytes(range(32)))
EVERYTHING = f"""
listen = [
    "/ip4/0.0.0.0/udp/4000",
    "/ip6/::/udp/4000",
]
port_tries = 0
accept_peers = false
max_peers = 5
allow = ["{A}"]
deny = ["/rovy/{B}"]
network_key = "{NETWORK_KEY}"
key_file = "keys/me.toml"
state_dir = "/srv/rovy"
socket = "~/rovy.sock"
map_size = 16
anchors = ["{B}", "/rovy/{B}", "{A}"]
publish_addresses = true
discovery = "listen"
lan_peers = 3
discovery_interfaces = ["eth0", "wl*"]
metrics_listen = "[::1]:9312"
log_level = "debug"
log_format = "json"

[[peer]]
address = "/ip4/192.0.2.1/udp/1312/rovy/{A}"
name = "laptop"

[[peer]]
address = "/rovyrt/01-02/rovy/{A}"
"""


def parse(text: str) -> Settings:
    return parse_settings(text.encode(), FILE, PLACES)


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return str(caught.value)


def test_empty_file_gives_the_defaults():
    assert parse("") == Settings.default(PLACES)


def test_everything():
    settings = parse(EVERYTHING)
    assert settings.listen[1] == Multiaddr.parse("/ip6/::/udp/4000")
    assert (settings.port_tries, settings.accept_peers, settings.max_peers) == (0, False, 5)
    assert settings.allow == {PeerID.parse(A)}
    assert settings.deny == {PeerID.parse(B)}
    assert settings.network_key == bytes(range(32))
    assert settings.private
    assert settings.key_file == Path("/etc/rovy/keys/me.toml")
    assert settings.state_file == Path("/srv/rovy/state.json")
    assert settings.socket == Path("/home/u/rovy.sock")
    assert settings.map_size == 16
    assert settings.anchors == (PeerID.parse(B), PeerID.parse(A))
    assert settings.publish_addresses
    assert (settings.discovery, settings.lan_peers) == ("listen", 3)
    assert settings.discovery_interfaces == ("eth0", "wl*")
    assert settings.metrics_listen == Endpoint("::1", 9312)
    assert [(str(p.address), p.name) for p in settings.peers] == [
        (f"/ip4/192.0.2.1/udp/1312/rovy/{A}", "laptop"),
        (f"/rovyrt/01-02/rovy/{A}", ""),
    ]


def test_key_goes_with_the_state_directory():
    assert parse('state_dir = "/srv/r"').key_file == Path("/srv/r/key.toml")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a = ", ["rovy.toml:1:", "not TOML"]),
        ("\n\nport_tries = = 3", ["rovy.toml:3:", "not TOML"]),
        ("\nlisten = [", ["rovy.toml:2", "not TOML"]),
        ("x = " + "[" * 5000, ["rovy.toml:1", "not TOML"]),
        ("max_peers = " + "9" * 5000, ["rovy.toml:1", "not TOML"]),
        ('port_tries = "3"', [":1: port_tries: text instead of a whole number"]),
        ("port_tries = true", ["instead of a whole number"]),
        ("port_tries = -1", ["choose 0 to 1000"]),
        ('\n\naccept_peers = "no"', [":3: accept_peers", "true or false"]),
        ('log_level = "loud"', ["'loud' is none of debug, info, warning, error"]),
        ("log_level = 3", ["put it in quotes"]),
        ('discovery = "yes"', ["'yes' is none of on, listen, off"]),
        ("lan_peers = 65", ["choose 0 to 64"]),
        ('discovery_interfaces = ["a/b"]', ["names no interface", "eth0 or wl*"]),
        ('metrics_listen = "9312"', [":1: metrics_listen: ", "such as 127.0.0.1:9312"]),
        ('metrics_listen = "192.0.2.1:9312"', ["open to other machines"]),
        ('metrics_listen = "[::]:9312"', ["open to other machines"]),
        ("map_size = 15", [":1: map_size: 15 is out of bounds: choose 16 to 128"]),
        ("map_size = 129", ["choose 16 to 128"]),
        ('\nanchors = ["bafz"]', [":2: anchors", "59 characters"]),
        (f"anchors = {[A] * 5}", ["5 entries; at most 4 are taken"]),
        (f'anchors = "{A}"', ["text instead of a list"]),
        ('publish_addresses = "yes"', [":1: publish_addresses", "true or false"]),
        ('listen = "/ip4/0.0.0.0/udp/1"', ["text instead of a list"]),
        ("listen = []", ["empty list"]),
        ("listen = [1]", ["a number instead of text"]),
        ('listen = [\n"/ip4/1.2.3.4/udp/1",\n"/ip4/x/udp/1"]', [":3: listen", "write one such as"]),
        ('listen = ["/dns4/example.org/udp/1"]', ["an IP address and port alone"]),
        (f'listen = ["/ip4/1.2.3.4/udp/1/rovy/{A}"]', ["an IP address and port alone"]),
        (f'listen = ["/rovy/{A}"]', ["write one such as"]),
        ('lisen = ["/ip4/1.2.3.4/udp/1"]', ["'lisen': unknown setting; did you mean listen?"]),
        ("\n\nzzz = 1", [":3: 'zzz': unknown setting; the settings are accept_peers, "]),
        ("[log]\nlevel = 1", [":1: 'log': unknown setting"]),
        ('network_key = "secret"', ["not a network key", "rovyctl keygen --network"]),
        (f'network_key = "{write_network_key(bytes(32))}"', ["not all zero"]),
        ('state_dir = ""', ["an empty path"]),
        ('deny = ["bafz"]', [":1: deny", "59 characters"]),
        ("peer = 3", [":1: peer: write [[peer]]"]),
        ("[peer]\nx = 1", [":1: peer: write [[peer]]"]),
        ("[[peer]]\n", [":1: peer 1: address: missing"]),
        ("[[peer]]\naddress = 3", [":2: peer 1: address: a number instead of text"]),
        ("[[peer]]\nadress = 3", [":2: 'adress': unknown setting; did you mean address?"]),
        (
            '[[peer]]\naddress = "/ip4/1.2.3.4/udp/1"',
            [":2: peer 1: address", "add /rovy/<peer id>"],
        ),
        (f'[[peer]]\naddress = "{A}"', ["does not say where the peer is"]),
        (
            f'[[peer]]\naddress = "/ip4/1.2.3.4/udp/1/rovy/{A}"\n\n'
            f'[[peer]]\naddress = "/ip4/1.2.3.4/udp/2/rovy/{A}"\nname = "a b"',
            [":6: peer 2: name: a name has 1 to 63"],
        ),
        (f'allow = ["{A}"]\ndeny = ["{A}"]', ["in allow and in deny"]),
    ],
)
def test_errors_name_line_and_remedy(text, parts):
    message = refusal(text)
    assert message.startswith(str(FILE))
    for part in parts:
        assert part in message


def test_one_name_for_two_peers_is_refused():
    text = "".join(
        f'[[peer]]\nname = "x"\naddress = "/ip4/1.2.3.4/udp/1/rovy/{peer}"\n' for peer in (A, B)
    )
    assert "two peers are named x" in refusal(text)


@pytest.mark.parametrize(
    "text", ['network_key = "{}"', 'network_key = "{}', 'network_key = ["{}"]']
)
def test_errors_do_not_show_the_network_key(text):
    damaged = NETWORK_KEY[:-3] + "!!!"
    message = refusal(text.format(damaged))
    assert NETWORK_KEY[5:20] not in message


def test_settings_do_not_show_the_network_key():
    settings = parse(EVERYTHING)
    for text in (repr(settings), toml(settings), str(document(settings))):
        assert NETWORK_KEY not in text
        assert repr(bytes(range(32)))[2:-1] not in text


def test_shown_settings_can_be_read_again():
    settings = parse(EVERYTHING)
    again = parse(toml(settings) + "")
    assert again.changed(settings) == ["network_key"]
    assert again.network_key == PUBLIC_NETWORK


def test_all_keys_are_shown():
    assert {*document(parse(""))} == {*KEYS, "network"} - {"network_key"}


def test_how_the_network_is_known_waits_for_a_restart():
    known = {"map_size", "anchors", "publish_addresses"}
    assert known <= set(Settings.__dataclass_fields__)
    assert not known & RELOADABLE


def test_reloadable_settings_exist():
    assert not RELOADABLE - set(Settings.__dataclass_fields__)


def test_not_utf8():
    with pytest.raises(ConfigError, match=r"rovy.toml:2: not UTF-8"):
        parse_settings(b"\n\xff", FILE, PLACES)


def test_missing_file(tmp_path):
    path = tmp_path / "rovy.toml"
    assert read_settings(path, PLACES, required=False) == Settings.default(PLACES)
    with pytest.raises(ConfigError, match="no such file"):
        read_settings(path, PLACES)


def test_unreadable_and_huge_files(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_settings(tmp_path, PLACES)
    path = tmp_path / "huge"
    path.write_bytes(b"#" * (1 << 20) + b"#")
    with pytest.raises(ConfigError, match="longer than"):
        read_settings(path, PLACES)


@given(st.binary(max_size=200) | st.text(alphabet="[]=\"'.#\n aelnoprst_1", max_size=80))
def test_any_bytes_are_read_or_refused(data):
    raw = data if isinstance(data, bytes) else data.encode()
    with suppress(Malformed):
        parse_settings(raw, FILE, PLACES)
