"""The text of key files."""

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multiformats import multibase

from rovy.address.keyfile import KeyFile
from rovy.address.keys import PrivateKey
from rovy.errors import Malformed

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "addresses.json").read_text())
FIRST, SECOND = VECTORS["valid"]
PRIVATE = PrivateKey(multibase.decode(FIRST["private"]))
GOOD = {"PrivateKey": FIRST["private"], "PeerID": FIRST["peer_id"], "IPAddr": FIRST["address"]}


def text_of(**changes):
    fields = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items())


def refusal(text):
    with pytest.raises(Malformed) as caught:
        KeyFile.parse(text)
    message = str(caught.value)
    assert FIRST["private"][1:] not in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return message


def test_vector():
    assert KeyFile.parse(text_of()).private == PRIVATE
    assert tomllib.loads(KeyFile(PRIVATE).emit()) == GOOD


def test_round_trip():
    file = KeyFile(PRIVATE)
    assert KeyFile.parse(file.emit()) == file
    assert FIRST["private"] not in repr(file)


@pytest.mark.parametrize(
    "changes",
    [
        {"PeerID": "/rovy/" + FIRST["peer_id"].upper()},
        {"IPAddr": FIRST["address"].upper()},
        {"IPAddr": "/ip6/" + FIRST["address"]},
        {"PrivateKey": multibase.encode(PRIVATE.secret, "base58btc")},
        {"Comment": "mine"},
    ],
    ids=str,
)
def test_other_spellings(changes):
    assert KeyFile.parse(text_of(**changes)).private == PRIVATE


@pytest.mark.parametrize(
    ("name", "value"), [("PeerID", SECOND["peer_id"]), ("IPAddr", SECOND["address"])]
)
def test_disagreement_names_the_field_and_the_remedy(name, value):
    message = refusal(text_of(**{name: value}))
    assert f"{name} does not belong to PrivateKey" in message
    assert f'write {name} = "{GOOD[name]}"' in message


@pytest.mark.parametrize("name", ["PeerID", "IPAddr"])
@pytest.mark.parametrize("value", [None, 7, "", "nonsense", "fd00::1", "bafzqai"])
def test_unreadable_names_say_what_belongs_there(name, value):
    message = refusal(text_of(**{name: value}))
    assert message.startswith(f"key file: {name} ")
    assert GOOD[name] in message


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        "",
        "m",
        FIRST["private"][1:],
        FIRST["private"][:-1],
        FIRST["private"] + "A",
        FIRST["private"] + "=",
        FIRST["private"][:-1] + "1",
        FIRST["private"] + "\n",
        "m" + "A" * 43,
        "m\u00e9",
        "z" + "1" * 5000,
        multibase.encode(PRIVATE.secret[:31], "base58btc"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_damaged_private_keys(value):
    assert "PrivateKey is" in refusal(text_of(PrivateKey=value))


@pytest.mark.parametrize(
    "text",
    ["=", "\0", "PrivateKey", "a = " + "[" * 5000, "a = " + "1" * 5000, "a" * 70_000, "[a]\n[a]"],
    ids=lambda text: ascii(text)[:12],
)
def test_not_toml(text):
    assert refusal(text).startswith("key file: ")


@given(st.one_of(st.text(max_size=100), st.text(max_size=60).map(lambda t: text_of(PrivateKey=t))))
@settings(deadline=None)
def test_hostile_text_is_malformed(text):
    with pytest.raises(Malformed):
        KeyFile.parse(text)
