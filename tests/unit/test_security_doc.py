"""Every rule of docs/security.md names tests, and these exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text()
RULES = re.split(r"^(?=\d+\. \*\*)", TEXT.partition("## 3.")[0], flags=re.MULTILINE)[1:]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_rules_are_numbered_in_order():
    assert [int(rule.partition(".")[0]) for rule in RULES] == list(range(1, len(RULES) + 1))
    assert len(RULES) > 30


def test_every_rule_names_a_test():
    assert not [rule for rule in RULES if not NAMED.search(rule)]


def test_named_tests_exist():
    def exists(file, name):
        path = ROOT / file
        return path.exists() and re.search(rf"^\s*(async )?def {name}\(", path.read_text(), re.M)

    named = set(NAMED.findall(TEXT))
    assert not [f"{file}::{name}" for file, name in sorted(named) if not exists(file, name)]
    assert len(named) == len(set(re.findall(r"tests/[\w/]+\.py::\w+", TEXT)))
