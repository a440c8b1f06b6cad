"""Signatures, against the vectors, the `xeddsa` library and a second implementation."""

import json
from hashlib import blake2b
from pathlib import Path

import pytest
import xeddsa as library
from hypothesis import given, settings
from hypothesis import strategies as st

from rovy.address.keys import PrivateKey
from rovy.errors import Malformed, UsageError
from rovy.noise.xeddsa import ORDER, sign, verify
from tests.unit.noise import reference_xeddsa as reference

CASES = json.loads((Path(__file__).parents[2] / "vectors" / "xeddsa.json").read_text())["cases"]
SIGNED = [case for case in CASES if "private" in case]
PRIVATES = [PrivateKey(bytes.fromhex(case["private"])) for case in SIGNED]
PRIVATE = PRIVATES[0]
KEY = PRIVATE.peer_id.key
NONCE = blake2b(b"nonce").digest()
DOMAIN = b"rovy-test"


def case_fields(case):
    return tuple(bytes.fromhex(case[name]) for name in ("key", "domain", "message", "signature"))


def framed(domain, message):
    return bytes((len(domain),)) + domain + message


def accepts(*arguments):
    try:
        verify(*arguments)
    except Malformed:
        return False
    return True


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"].replace(" ", "-"))
def test_vector(case):
    assert accepts(*case_fields(case)) == case["valid"]


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if len(case["signature"]) == 128 and "key" not in case["name"]],
    ids=lambda case: case["name"].replace(" ", "-"),
)
def test_vector_by_the_second_implementation(case):
    key, domain, message, signature = case_fields(case)
    assert reference.verifies(key, framed(domain, message), signature) == case["valid"]


@pytest.mark.parametrize("index", range(len(SIGNED)))
def test_vector_signed_again(index):
    _, domain, message, signature = case_fields(SIGNED[index])
    nonce = bytes.fromhex(SIGNED[index]["nonce"])
    private = PRIVATES[index]
    assert sign(private, domain, message, nonce) == signature
    assert reference.sign(private.secret, framed(domain, message), nonce) == signature


def test_vectors_cover_both_signs():
    names = {case["name"] for case in SIGNED}
    assert names == {"signed, scalar negated", "signed, scalar as it is"}


@given(st.sampled_from(PRIVATES), st.binary(max_size=40), st.binary(max_size=200), st.data())
@settings(max_examples=40)
def test_signatures_verify_here_and_by_the_library(private, domain, message, data):
    signature = sign(private, domain, message, data.draw(st.binary(min_size=64, max_size=64)))
    verify(private.peer_id.key, domain, message, signature)
    edwards = library.curve25519_pub_to_ed25519_pub(private.peer_id.key, False)
    assert library.ed25519_verify(signature, edwards, framed(domain, message))


@given(st.binary(max_size=100))
@settings(max_examples=20)
def test_what_the_library_signs_verifies_here(message):
    scalar = library.priv_force_sign(PRIVATE.secret, False)
    signature = library.ed25519_priv_sign(scalar, framed(DOMAIN, message))
    verify(KEY, DOMAIN, message, signature)


@given(st.integers(0, 511))
def test_every_changed_bit_is_refused(bit):
    signature = bytearray(sign(PRIVATE, DOMAIN, b"message", NONCE))
    signature[bit // 8] ^= 1 << bit % 8
    assert not accepts(KEY, DOMAIN, b"message", bytes(signature))


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_hostile_signatures_and_keys_are_malformed(key, signature):
    assert not accepts(KEY, DOMAIN, b"message", signature)
    assert not accepts(key, DOMAIN, b"message", sign(PRIVATE, DOMAIN, b"message", NONCE))


@given(st.binary(min_size=32, max_size=32))
def test_hostile_keys_of_the_right_length_are_malformed(key):
    assert not accepts(key, DOMAIN, b"message", sign(PRIVATE, DOMAIN, b"message", NONCE))


@given(st.binary(max_size=6), st.integers(0, 6))
def test_domain_and_message_cannot_be_shifted(text, cut):
    signature = sign(PRIVATE, text[:cut], text[cut:], NONCE)
    for other in range(len(text) + 1):
        expected = other == min(cut, len(text))
        assert accepts(KEY, text[:other], text[other:], signature) == expected


def test_another_spelling_of_s_is_refused():
    signature = sign(PRIVATE, DOMAIN, b"message", NONCE)
    s = int.from_bytes(signature[32:], "little")
    number = s + ORDER
    while number < 2**256:
        with pytest.raises(Malformed, match="S is not below"):
            verify(KEY, DOMAIN, b"message", signature[:32] + number.to_bytes(32, "little"))
        number += ORDER


@pytest.mark.parametrize("number", range(reference.P, 2**255))
@pytest.mark.parametrize("sign_bit", [0, 1])
def test_another_spelling_of_r_is_refused(number, sign_bit):
    point = (number | sign_bit << 255).to_bytes(32, "little")
    signature = sign(PRIVATE, DOMAIN, b"message", NONCE)
    with pytest.raises(Malformed, match="R is not in canonical form"):
        verify(KEY, DOMAIN, b"message", point + signature[32:])


@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_nonce_and_domain_lengths(size):
    with pytest.raises(UsageError):
        sign(PRIVATE, DOMAIN, b"", bytes(size))
    with pytest.raises(UsageError):
        sign(PRIVATE, bytes(256 + size), b"", NONCE)
    with pytest.raises(UsageError):
        verify(KEY, bytes(256 + size), b"", sign(PRIVATE, DOMAIN, b"", NONCE))


def test_the_nonce_is_used():
    assert sign(PRIVATE, DOMAIN, b"", NONCE) == sign(PRIVATE, DOMAIN, b"", NONCE)
    assert sign(PRIVATE, DOMAIN, b"", NONCE) != sign(PRIVATE, DOMAIN, b"", NONCE[::-1])
