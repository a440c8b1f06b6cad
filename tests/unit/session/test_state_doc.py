"""The specification shows the states as the code has them, and cites and links what exists."""

import re
from pathlib import Path

import pytest

from rovy.session import const
from rovy.session.state import Event, State, diagram

ROOT = Path(__file__).parents[3]
PROTOCOL = ROOT / "docs" / "protocol"
DOCUMENTS = sorted(PROTOCOL.glob("*.md"))
SESSIONS = (PROTOCOL / "sessions.md").read_text()


def headings(document):
    return {int(number) for number in re.findall(r"^## (\d+)\. ", document.read_text(), re.M)}


SECTIONS = {document.name: headings(document) for document in DOCUMENTS}


def cited(text):
    """(document, section) wherever a text names both."""
    return [(name, int(number)) for name, number in re.findall(r"(\w+\.md) §(\d+)", text)]


def test_diagram_is_the_one_of_the_table():
    pictures = re.findall(r"```mermaid\n(stateDiagram.*?)\n```", SESSIONS, re.S)
    assert pictures == [diagram()]


def test_every_state_and_event_is_explained():
    for name in (*State, *Event):
        assert f"\n| {name} |" in SESSIONS


def test_every_constant_is_listed():
    names = {name for name in vars(const) if name.isupper()}
    assert set(re.findall(r"`([A-Z_]+)`", SESSIONS.split("## 9.")[1])) == names


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_sections_are_numbered_and_cited_sections_exist(document):
    text = document.read_text()
    numbers = [int(number) for number in re.findall(r"^## (\d+)\. ", text, re.M)]
    assert numbers == sorted(set(numbers))
    for name, number in cited(text):
        assert number in SECTIONS[name], f"{name} §{number}"
    own = re.sub(r"\w+\.md §\d+", "", text)
    if document.name != "README.md":
        for number in map(int, re.findall(r"§(\d+)", own)):
            assert number in SECTIONS[document.name], f"§{number}"


def test_what_the_code_cites_exists():
    for module in sorted((ROOT / "rovy").rglob("*.py")):
        text = module.read_text()
        for name in re.findall(r"docs/protocol/(\w+\.md)", text):
            assert name in SECTIONS, f"{module.name}: {name}"
        for name, number in re.findall(r"docs/protocol/(\w+\.md) §(\d+)", text):
            assert int(number) in SECTIONS[name], f"{module.name}: {name} §{number}"
