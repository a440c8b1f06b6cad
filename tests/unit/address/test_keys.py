"""PeerID, PrivateKey and fc00::/8 addresses."""

import json
from hashlib import blake2s
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multiformats import CID, multibase

from rovy.address.interop import cid_of, peer_of
from rovy.address.keys import (
    CID_PREFIX,
    FIELD_PRIME,
    PeerID,
    PrivateKey,
    address_text,
    check_key,
    parse_address,
)
from rovy.errors import Malformed

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "addresses.json").read_text())
VALID = VECTORS["valid"]
PEER = PeerID.parse(VALID[0]["peer_id"])
BASES = [base.name for base in multibase.table() if base.name not in ("identity", "base256emoji")]
SMALL_SUBGROUP = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def stream(seed):
    """Random bytes that a test can repeat."""
    numbers = count()
    return lambda size: blake2s(b"%d %d" % (seed, next(numbers)), digest_size=size).digest()


def key(number):
    return number.to_bytes(32, "little")


@pytest.mark.parametrize("vector", VALID, ids=lambda v: v["peer_id"][-8:])
def test_vector_names(vector):
    peer = PeerID.parse(vector["peer_id"])
    assert str(peer) == vector["peer_id"]
    assert peer.path == "/rovy/" + vector["peer_id"]
    assert address_text(peer.address) == vector["address"]
    assert parse_address(vector["address"]) == peer.address


def test_vector_private_key():
    vector = VALID[0]
    private = PrivateKey.from_bytes(multibase.decode(vector["private"]))
    assert str(private.peer_id) == vector["peer_id"]


def test_vector_outside_the_prefix():
    for vector in VECTORS["well_formed_but_outside_fc00"]:
        with pytest.raises(Malformed, match=f"{vector['address']} is outside fc00::/8"):
            PeerID.parse(vector["peer_id"])


def test_node_id_is_the_address_then_the_digest():
    digest = blake2s(blake2s(PEER.key).digest()).digest()
    assert PEER.address == digest[16:]
    assert PEER.node_id == digest[17:32] + digest[:5]
    assert PEER.short == PEER.node_id[:8]
    assert len(PEER.node_id) == 20


def test_peer_ids_are_values():
    again = PeerID(PEER.key)
    other = PeerID.parse(VALID[1]["peer_id"])
    assert again == PEER
    assert hash(again) == hash(PEER)
    assert {PEER: 1}[again] == 1
    assert other != PEER
    assert (other < PEER) == (other.key < PEER.key)
    assert eval(repr(PEER), {"PeerID": PeerID}) == PEER
    with pytest.raises(AttributeError):
        PEER.key = other.key


def test_base32_in_any_case():
    text = str(PEER)
    mixed = "".join(c.upper() if i % 3 else c for i, c in enumerate(text))
    for spelling in (text, text.upper(), mixed, "/rovy/" + text, "/rovy/" + mixed):
        assert PeerID.parse(spelling) == PEER


@pytest.mark.parametrize("base", BASES)
def test_any_multibase(base):
    text = multibase.encode(PEER.cid_bytes, base)
    assert PeerID.parse(text) == PEER
    assert PeerID.parse("/rovy/" + text) == PEER


@pytest.mark.parametrize("base", BASES)
def test_any_multibase_is_checked(base):
    wrong_length = CID_PREFIX[:3] + b"\x1f" + PEER.key[:31]
    for data in (PEER.cid_bytes + b"\0", PEER.cid_bytes[:-1], wrong_length, PEER.key, b""):
        with pytest.raises(Malformed):
            PeerID.parse(multibase.encode(data, base))


def test_agrees_with_the_library_on_cids():
    cid = cid_of(PEER)
    assert str(cid) == str(PEER)
    assert bytes(cid) == PEER.cid_bytes
    assert CID.decode(str(PEER)) == cid
    assert peer_of(CID.decode(str(cid_of(PEER, "base58btc")))) == PEER


@given(st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_fast_path_agrees_with_the_library(seed):
    peer = PrivateKey.generate(stream(seed)).peer_id
    assert PeerID.parse(str(peer)) == peer
    assert peer_of(CID.decode(str(peer))) == peer
    assert PeerID.parse(multibase.encode(peer.cid_bytes, "base64url")) == peer
    assert PeerID.from_cid_bytes(peer.cid_bytes) == peer


@given(st.binary(min_size=30, max_size=42))
@settings(deadline=None)
def test_fast_path_refuses_what_general_path_refuses(data):
    assert outcome(multibase.encode(data, "base32")) == outcome(multibase.encode(data, "base16"))


def outcome(text):
    try:
        return PeerID.parse(text)
    except Malformed:
        return None


def test_last_digit_has_one_spelling():
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    text = str(PEER)
    at = alphabet.index(text[-1])
    assert at % 4 == 0
    for spare in (1, 2, 3):
        with pytest.raises(Malformed, match="last digit"):
            PeerID.parse(text[:-1] + alphabet[at + spare])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b",
        "B",
        "m",
        "/rovy/",
        "/rovy/b",
        str(PEER)[:-1],
        str(PEER) + "a",
        str(PEER)[:-1] + "=",
        str(PEER)[:-1] + "1",
        str(PEER)[:-1] + "\n",
        " " + str(PEER),
        str(PEER)[:-1] + "ı",
        "ſ" + str(PEER)[1:],
        "b" + "a" * 600,
        "z" * 100_000,
        "/rovy//rovy/" + str(PEER),
        "/ROVY/" + str(PEER),
        "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPNxS",
        "\0" + "a" * 40,
        "🚀",
        "\ud800",
        "m\ud800",
    ],
    ids=lambda text: ascii(text)[:20],
)
def test_not_a_peer_id(text):
    with pytest.raises(Malformed):
        PeerID.parse(text)


@given(st.one_of(st.text(max_size=80), st.text("bBmMzkuU/rovy" + "a27=", max_size=80)))
@settings(deadline=None)
def test_hostile_text_is_malformed_or_read(text):
    for read in (PeerID.parse, parse_address):
        try:
            read(text)
        except Malformed:
            pass


@pytest.mark.parametrize("read", [PeerID.parse, parse_address])
@pytest.mark.parametrize("text", ["b" + "\n" * 400, "z" * 10**6, "\U0010ffff" * 500, ":" * 10**6])
def test_errors_quote_hostile_text_briefly(read, text):
    with pytest.raises(Malformed) as caught:
        read(text)
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


@given(st.sampled_from([base.code for base in multibase.table()]), st.text(max_size=60))
@settings(deadline=None)
def test_hostile_text_in_every_base(code, text):
    assert outcome(code + text) is None


@given(st.binary(max_size=64))
def test_hostile_bytes_are_malformed(data):
    for read in (PeerID, PeerID.from_cid_bytes, check_key):
        try:
            read(data)
        except Malformed:
            pass


@pytest.mark.parametrize("number", range(FIELD_PRIME, 2**255))
def test_every_key_between_prime_and_top_bit_is_refused(number):
    with pytest.raises(Malformed, match="canonical"):
        PeerID(key(number))


@pytest.mark.parametrize("point", SMALL_SUBGROUP)
def test_low_order_points_are_refused(point):
    with pytest.raises(Malformed, match="low order"):
        PeerID(bytes.fromhex(point))
    with pytest.raises(Malformed, match="no shared secret"):
        PrivateKey.generate(stream(1)).exchange(bytes.fromhex(point))
    number = int.from_bytes(bytes.fromhex(point), "little")
    for other in (number + 2**255, number + FIELD_PRIME, number + 2 * FIELD_PRIME):
        if other < 2**256:
            with pytest.raises(Malformed, match="canonical"):
                check_key(key(other))


def test_top_bit_is_refused():
    with pytest.raises(Malformed, match="canonical"):
        PeerID(PEER.key[:31] + bytes((PEER.key[31] | 0x80,)))


def test_largest_and_smallest_keys_that_pass():
    check_key(key(2))
    check_key(key(FIELD_PRIME - 2))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_key_lengths(size):
    with pytest.raises(Malformed, match=f"{size} bytes"):
        PeerID(bytes(size))
    with pytest.raises(Malformed, match=f"{size} bytes"):
        PrivateKey.from_bytes(bytes(size))


def test_both_sides_share_one_secret():
    random = stream(2)
    a, b = PrivateKey.generate(random), PrivateKey.generate(random)
    assert a.exchange(b.peer_id.key) == b.exchange(a.peer_id.key)
    assert len(a.exchange(b.peer_id.key)) == 32


@pytest.mark.parametrize("size", [0, 31, 33])
def test_exchange_with_a_wrong_length(size):
    with pytest.raises(Malformed):
        PrivateKey.generate(stream(3)).exchange(bytes(size))


def test_private_key_outside_the_prefix_is_refused():
    with pytest.raises(Malformed, match="outside fc00::/8"):
        PrivateKey.from_bytes(bytes(range(32)))


def test_generate_takes_the_first_valid_draw():
    good = PrivateKey.generate(stream(4))
    draws = [bytes(range(32)), good.secret]
    assert PrivateKey.generate(lambda size: draws.pop(0)) == good
    assert not draws


def test_no_text_shows_the_secret():
    private = PrivateKey.generate(stream(5))
    for text in (repr(private), str(private), f"{private}", repr([private])):
        assert private.secret.hex() not in text
        assert repr(private.secret)[2:10] not in text
        assert str(private.peer_id) in text


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("fc00::1", "fc00::1"),
        ("FC00:0:0:0:0:0:0:1", "fc00::1"),
        ("fcff::1.2.3.4", "fcff::102:304"),
    ],
)
def test_addresses(text, short):
    assert address_text(parse_address(text)) == short


@pytest.mark.parametrize(
    "text", ["", "fd00::1", "::1", "fc00::1%eth0", "fc00::/8", "1.2.3.4", "fc00", " fc00::1", "٣::"]
)
def test_not_addresses(text):
    with pytest.raises(Malformed):
        parse_address(text)
