"""What nft is told, and how its answers are read. Whether the kernel agrees: tests/system."""

import json
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.errors import UsageError
from rovy.fcnet.nft import Done, Nft, NftMissing
from rovy.fcnet.rules import Rule
from rovy.io import nft_run
from tests.unit.fcnet.packets import OWN, PEER_ID

RULES = [Rule.parse(text) for text in ("tcp/22", "udp/5000-5010", "tcp", f"any from {PEER_ID}")]


class Command:
    """Stands for nft: remembers what it was told and answers as it was told to."""

    def __init__(self, *answers):
        self.answers, self.calls = list(answers), []

    def __call__(self, argv, stdin):
        self.calls.append((list(argv), stdin))
        answer = self.answers.pop(0) if self.answers else Done(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_rules_in_the_language_of_nft():
    text = Nft("rovy0", OWN, Command()).text(RULES)
    chain = re.search(r"chain allowed \{\n(.*?)    \}", text, re.DOTALL)
    assert [line.strip() for line in chain[1].splitlines()] == [
        'tcp dport 22 counter name "allowed" accept',
        'udp dport 5000-5010 counter name "allowed" accept',
        'meta l4proto tcp counter name "allowed" accept',
        'ip6 saddr fc89:b114:f64b:1d11:c1d6:db1b:5701:280f counter name "allowed" accept',
    ]


def test_all_but_the_spoof_check_concerns_one_interface():
    text = Nft("mesh-1.2", OWN, Command()).text(RULES)
    assert "table ip6 rovy-mesh-1.2 {" in text
    assert 'iifname != "mesh-1.2" accept' in text
    assert "ip6 daddr fc87:dee8:b7eb:1362:f0e8:28d1:98ee:6415" in text
    assert "$" not in text


def test_each_change_is_one_step():
    command = Command()
    nft = Nft("rovy0", OWN, command)
    nft.install(RULES)
    nft.replace_rules(RULES[:1])
    nft.remove()
    argv = ["nft", "--file", "-"]
    start, deleted = "add table ip6 rovy-rovy0\n", "delete table ip6 rovy-rovy0\n"
    flushed = "flush table ip6 rovy-rovy0\n"
    assert command.calls == [
        (argv, start + deleted + nft.text(RULES)),
        (argv, start + flushed + nft.text(RULES[:1])),
        (argv, start + deleted),
    ]


def test_counters_and_presence():
    counter = {"family": "ip6", "table": "rovy-rovy0", "packets": 7, "bytes": 99}
    listed = [{"metainfo": {}}, {"counter": {"name": "refused", **counter}}]
    tables = [{"metainfo": {}}, {"table": {"family": "ip6", "name": "rovy-rovy0"}}]
    command = Command(*(Done(0, json.dumps({"nftables": items})) for items in (listed, tables)))
    nft = Nft("rovy0", OWN, command)
    assert nft.counters() == {"refused": 7}
    assert nft.installed()
    command.answers = [Done(0, json.dumps({"nftables": tables[:1]}))]
    assert not nft.installed()


def test_what_the_kernel_says_is_passed_on():
    refused = Done(1, error="\n/dev/stdin:1:1: Error: Operation not permitted\nadd table\n^^^\n")
    nft = Nft("rovy0", OWN, Command(refused, Done(3)))
    with pytest.raises(UsageError, match="Operation not permitted; it needs CAP_NET_ADMIN"):
        nft.install([])
    with pytest.raises(UsageError, match="exit status 3"):
        nft.install([])


def test_missing_nft():
    nft = Nft("rovy0", OWN, Command(*[FileNotFoundError()] * 3))
    with pytest.raises(NftMissing, match="install the package nftables"):
        nft.install([])
    with pytest.raises(NftMissing):
        nft.counters()
    assert not nft.available()


def test_available_asks_the_kernel_and_changes_nothing():
    command = Command(Done(0), Done(1))
    nft = Nft("rovy0", OWN, command)
    assert nft.available()
    assert not nft.available()
    assert all(argv == ["nft", "--check", "--file", "-"] for argv, _ in command.calls)


@given(st.text(max_size=20))
def test_no_name_escapes_its_quotes(name):
    try:
        text = Nft(name, OWN, Command()).text([])
    except UsageError:
        return
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", name)
    assert text == Nft("X", OWN, Command()).text([]).replace("-X ", f"-{name} ").replace(
        '"X"', f'"{name}"'
    )


@pytest.mark.parametrize("name", ["", "a b", 'x" drop', "rovy*", "sixteen-letters-", "eth0\n", "é"])
def test_names_that_nft_cannot_take(name):
    with pytest.raises(UsageError, match="choose a name"):
        Nft(name, OWN, Command())


def test_runner_gives_what_the_command_gave():
    script = "import sys; print(sys.stdin.read()); print('why', file=sys.stderr); sys.exit(3)"
    assert nft_run.run([sys.executable, "-c", script], "text") == Done(3, "text\n", "why\n")


def test_runner_misses_nothing_quietly(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError):
        nft_run.run(["rovy-no-such-command"], "")
    assert "Permission denied" in nft_run.run([str(tmp_path)], "").error
    monkeypatch.setattr(nft_run, "TIMEOUT", 0.05)
    done = nft_run.run([sys.executable, "-c", "import time; time.sleep(9)"], "")
    assert done == Done(nft_run.TIMED_OUT, error="no end after 0.05 s")
