"""The Noise handshake: against vectors, and against forged messages."""

import json
from hashlib import blake2s
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from rovy.address.keys import FIELD_PRIME, LOW_ORDER, PrivateKey
from rovy.errors import Malformed
from rovy.noise import handshake
from rovy.noise.handshake import NO_PSK, PROLOGUE, Initiator, Responder
from rovy.wire.datagram import nonce

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "noise_ikpsk2.json").read_text())[
    "vectors"
]


def generate(seed):
    numbers = count()
    return PrivateKey.generate(lambda size: blake2s(b"%s %d" % (seed, next(numbers))).digest())


ALICE, BOB, EVE = (generate(name) for name in (b"alice", b"bob", b"eve"))
E_ALICE, E_BOB, E_NEXT = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
PSK = bytes(range(100, 132))
NON_CANONICAL = [
    number.to_bytes(32, "little")
    for number in (*range(FIELD_PRIME, 2**255), 2**255 + 9, 2**256 - 1)
]
REFUSED_KEYS = sorted({*NON_CANONICAL, *LOW_ORDER})


def initiator(psk=NO_PSK, ephemeral=E_ALICE, **parts):
    return Initiator(ALICE, BOB.peer_id, psk, ephemeral, **parts)


def responder(message, psk=NO_PSK, private=BOB, ephemeral=E_BOB, **parts):
    return Responder(private, message, psk, lambda: ephemeral, **parts)


def pair(psk=NO_PSK):
    """An initiator that waits, and the true response to its hello."""
    asking = initiator(psk)
    answering = responder(asking.write(b"hello"), psk)
    return asking, answering.write(b"response"), answering


def assert_keys_agree(asking, answering):
    sealing, opening = asking.keys()
    their_sealing, their_opening = answering.keys()
    assert (sealing, opening) == (their_opening, their_sealing)
    assert sealing != opening


@pytest.mark.parametrize("vector", VECTORS)
def test_vectors(vector):
    keys = {
        name: bytes.fromhex(vector[name]) for name in vector if name.endswith(("ic", "al", "gue"))
    }
    psk = bytes.fromhex(vector["init_psks"][0])
    assert vector["protocol_name"].encode() == handshake.PROTOCOL
    # The keys of the vectors have no fc00::/8 address, so they come without our classes.
    peer = SimpleNamespace(key=keys["init_remote_static"])
    asking = Initiator(
        SimpleNamespace(secret=keys["init_static"]),
        peer,
        psk,
        keys["init_ephemeral"],
        keys["init_prologue"],
    )
    hello, response, *transport = (
        (bytes.fromhex(message["payload"]), bytes.fromhex(message["ciphertext"]))
        for message in vector["messages"]
    )
    assert asking.write(hello[0]) == hello[1]
    answering = Responder(
        SimpleNamespace(secret=keys["resp_static"]),
        hello[1],
        psk,
        lambda: keys["resp_ephemeral"],
        keys["resp_prologue"],
    )
    assert answering.payload == hello[0]
    assert answering.peer_key == public(keys["init_static"])
    assert answering.write(response[0]) == response[1]
    assert asking.read(response[1]) == response[0]
    sealing, opening = asking.keys()
    assert (opening, sealing) == answering.keys()
    for number, (payload, ciphertext) in enumerate(transport):
        # They take turns, the initiator first; both count their own messages.
        key = ChaCha20Poly1305(bytes(opening if number % 2 else sealing))
        assert key.encrypt(nonce(number // 2), payload, None) == ciphertext
        assert key.decrypt(nonce(number // 2), ciphertext, None) == payload


@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(min_size=32, max_size=32))
@settings(max_examples=30)
def test_both_sides_agree(hello, response, psk):
    asking = initiator(psk)
    message = asking.write(hello)
    assert len(message) == 96 + len(hello)
    answering = responder(message, psk)
    assert answering.payload == hello
    assert answering.peer_key == ALICE.peer_id.key
    reply = answering.write(response)
    assert len(reply) == 48 + len(response)
    assert asking.read(reply) == response
    assert_keys_agree(asking, answering)


def test_every_changed_byte_of_a_response_is_refused_and_changes_nothing():
    asking, true, answering = pair()
    for at in range(len(true)):
        for change in (0x01, 0x80, 0xFF):
            forged = bytearray(true)
            forged[at] ^= change
            with pytest.raises(Malformed):
                asking.read(bytes(forged))
    assert asking.read(true) == b"response"
    assert_keys_agree(asking, answering)


def test_every_truncated_or_longer_response_is_refused_and_changes_nothing():
    asking, true, answering = pair()
    for length in range(len(true)):
        with pytest.raises(Malformed):
            asking.read(true[:length])
    for tail in (b"\x00", bytes(16), bytes(70000)):
        with pytest.raises(Malformed):
            asking.read(true + tail)
    assert asking.read(true) == b"response"
    assert_keys_agree(asking, answering)


@given(st.lists(st.binary(max_size=120), max_size=5))
@settings(max_examples=30)
def test_random_responses_change_nothing(forgeries):
    asking, true, answering = pair()
    for forged in forgeries:
        with pytest.raises(Malformed):
            asking.read(forged)
    assert asking.read(true) == b"response"
    assert_keys_agree(asking, answering)


def test_a_response_with_its_own_ephemeral_but_no_psk_changes_nothing():
    """The worst forgery: all of it is right but the pre-shared key, its last input."""
    asking = initiator(PSK)
    hello = asking.write(b"hello")
    forged = responder(hello, NO_PSK, ephemeral=E_NEXT).write(b"forged")
    with pytest.raises(Malformed):
        asking.read(forged)
    answering = responder(hello, PSK)
    assert asking.read(answering.write(b"true")) == b"true"
    assert_keys_agree(asking, answering)


def test_a_response_to_another_hello_is_refused():
    asking, _, _ = pair()
    other = initiator(ephemeral=E_NEXT)
    foreign = responder(other.write(b"hello")).write(b"response")
    with pytest.raises(Malformed):
        asking.read(foreign)
    assert other.read(foreign) == b"response"


def test_a_hello_for_somebody_else_is_refused():
    with pytest.raises(Malformed):
        responder(initiator().write(b""), private=EVE)


def test_another_prologue_is_refused():
    hello = initiator(prologue=b"rovy/2").write(b"")
    with pytest.raises(Malformed):
        responder(hello)
    assert responder(hello, prologue=b"rovy/2").payload == b""
    assert PROLOGUE == b"rovy/1"


def test_every_changed_byte_of_a_hello_is_refused():
    hello = initiator().write(b"payload")
    for at in range(len(hello)):
        forged = bytearray(hello)
        forged[at] ^= 0x01
        with pytest.raises(Malformed):
            responder(bytes(forged))


def test_every_truncated_hello_is_refused():
    hello = initiator().write(b"payload")
    for length in range(len(hello)):
        with pytest.raises(Malformed):
            responder(hello[:length])


@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_random_hellos_are_malformed(message):
    with pytest.raises(Malformed):
        responder(message)


@pytest.mark.parametrize("key", REFUSED_KEYS, ids=lambda key: key.hex()[:8] + key.hex()[-4:])
def test_refused_ephemeral_keys(key):
    asking, true, _ = pair()
    with pytest.raises(Malformed):
        asking.read(key + true[32:])
    assert asking.read(true) == b"response"
    with pytest.raises(Malformed):
        responder(key + initiator().write(b"")[32:])


@pytest.mark.parametrize("key", REFUSED_KEYS, ids=lambda key: key.hex()[:8] + key.hex()[-4:])
def test_refused_static_keys(key):
    """An initiator that sends a static key of its choice, authenticated like a true one."""
    asking = initiator()
    state = asking._noise.noise_protocol.handshake_state
    state.s = SimpleNamespace(public_bytes=key, private=state.s.private)
    with pytest.raises(Malformed):
        responder(asking.write(b""))


def test_keys_are_given_once_and_not_kept():
    asking, true, answering = pair()
    asking.read(true)
    for side in (asking, answering):
        keys = side.keys()
        assert all(isinstance(key, bytearray) and len(key) == 32 for key in keys)
        protocol = side._noise.noise_protocol
        assert protocol.cipher_state_encrypt.k is protocol.cipher_state_decrypt.k is None


def test_keys_depend_on_the_psk():
    found = []
    for psk in (NO_PSK, PSK):
        asking, true, _ = pair(psk)
        asking.read(true)
        found += map(bytes, asking.keys())
    assert len(set(found)) == 4


def test_the_keys_of_one_direction_do_not_open_the_other():
    asking, true, _ = pair()
    asking.read(true)
    sealing, opening = map(bytes, asking.keys())
    sealed = ChaCha20Poly1305(sealing).encrypt(nonce(0), b"data", b"header")
    with pytest.raises(InvalidTag):
        ChaCha20Poly1305(opening).decrypt(nonce(0), sealed, b"header")


def public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
