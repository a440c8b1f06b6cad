"""Dependencies point inwards: a module imports lower ranks and its own package.

Ranks 0 to 2 are the pure core, the same in the daemon and in the simulator: they take bytes
and a time and give bytes, and never touch a clock, a socket or a source of randomness. A new
module gets its rank here before it gets its first import.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "rovy"

RANKS = {
    "errors": 0,
    "address": 0,
    "buckets": 0,
    "_native": 1,
    "wire": 1,
    "noise": 1,
    "session": 2,
    "forwarder": 2,
    "dataplane": 2,
    "routing": 2,
    "dht": 3,
    "discovery": 3,
    "fcnet": 3,
    "dns": 3,
    "io": 4,
    "node": 5,
    "config": 6,
    "api": 6,
    "daemon": 6,
    "cli": 6,
}
LAST_PURE_RANK = 2

# What a pure module may not import, and why.
FORBIDDEN = {
    "asyncio": "the core is called by an event loop and knows none",
    "os": "files, environment and randomness reach the core as arguments",
    "random": "randomness is an argument, so that one seed repeats a simulation",
    "secrets": "randomness is an argument, so that one seed repeats a simulation",
    "select": "waiting is done in rovy.io",
    "selectors": "waiting is done in rovy.io",
    "socket": "datagrams come in and go out as bytes; rovy.io owns the sockets",
    "subprocess": "the core starts no programs; the daemon does",
    "threading": "each state has one owner, called by one event loop",
    "time": "time is an argument, so that a simulation can let it jump",
}

# Within a rank nothing imports another package, but for these.
WITHIN_RANK = {
    "address": {"errors"},
    "api": {"config"},
    "daemon": {"api", "config"},
}

# All that these import, whatever their rank.
ONLY = {
    "cli": ({"errors", "address", "config"}, "it talks to the daemon over HTTP only"),
}

# All that import these, whatever their rank.
ONLY_FOR = {
    "_native": ({"dataplane"}, "the data plane chooses between it and pure Python"),
}

FACE = ""  # rovy/__init__.py
FACE_AT_ONCE = {"errors", "address"}
FACE_ON_DEMAND = {"node", "config"}


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_inwards(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if package else parts)
    found = violations(path.read_text(), name, package=package)
    assert not found, "\n".join(found)


def test_there_are_modules():
    assert ROOT / "errors.py" in modules()


@pytest.mark.parametrize(
    ("name", "source", "reason"),
    [
        ("rovy.wire.hello", "import time", "time is an argument"),
        ("rovy.wire.hello", "from time import monotonic", "time is an argument"),
        ("rovy.session.table", "import os.path", "files"),
        ("rovy.session.table", "def f():\n    import socket", "rovy.io owns the sockets"),
        ("rovy.forwarder", "from random import Random as R", "randomness"),
        ("rovy.address", "__import__('asyncio')", "event loop"),
        ("rovy.routing.map", "from importlib import import_module as m", "import_module"),
        ("rovy.routing.map", "import importlib\nimportlib.import_module('select')", "waiting"),
        ("rovy.routing.map", "if TYPE_CHECKING:\n    import threading", "one owner"),
        ("rovy.session.table", "import rovy.routing.graph", "rank 2 imports rank 2"),
        ("rovy.session.table", "from rovy import errors, forwarder", "rank 2 imports rank 2"),
        ("rovy.session.table", "from ..routing import graph", "rank 2 imports rank 2"),
        ("rovy.session.table", "from .. import dht", "rank 2 imports rank 3"),
        ("rovy.wire", "from .session import Session", None),
        ("rovy.wire.hello", "from ..noise import cookie", "rank 1 imports rank 1"),
        ("rovy.forwarder", "from .node import Node", "rank 2 imports rank 5"),
        ("rovy.errors", "from .address import PeerID", "rank 0 imports rank 0"),
        ("rovy.dht.crawl", "def f():\n    from ..io import udp", "rank 3 imports rank 4"),
        ("rovy.cli.info", "from ..node import Node", "HTTP only"),
        ("rovy.cli.info", "import rovy.wire", "HTTP only"),
        ("rovy.session.table", "from .. import _native", "the data plane chooses"),
        ("rovy.node.node", "from rovy import Node", "the module that owns"),
        ("rovy.node.node", "import rovy", "the module that owns"),
        ("rovy.gossip", "", "no rank"),
        ("rovy.node.node", "from ..gossip import talk", "no rank"),
        ("rovy.wire.hello", "from ...other import thing", "beyond rovy"),
        ("rovy", "from .node import Node", "only on demand"),
        ("rovy", "def f():\n    from .api import serve", "the face"),
    ],
)
def test_checker_sees(name, source, reason):
    found = violations(source, name, package=name in {"rovy", "rovy.wire"})
    if reason is None:
        assert not found  # relative to the package rovy.wire, so its own module
    else:
        assert len(found) == 1
        assert reason in found[0]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("rovy.address", "import hashlib\nfrom .errors import Malformed"),
        ("rovy.session.table", "from . import const\nfrom ..wire import hello\nimport struct"),
        ("rovy.session.table", "from rovy.session.const import REKEY\nimport rovy.session.path"),
        ("rovy.dht.lookup", "import asyncio, time\nfrom ..routing.map import Map"),
        ("rovy.dataplane.native", "def load():\n    from .. import _native"),
        ("rovy.cli.info", "import os\nfrom ..config import Config\nfrom rovy import __version__"),
        ("rovy.daemon.__main__", "from ..api import server\nfrom rovy.node import Node"),
        ("rovy", "from .errors import RovyError\ndef f():\n    from .node import Node"),
        ("rovy", "if TYPE_CHECKING:\n    from .node import Node as Node"),
        ("rovy.wire.hello", "from timeit import Timer\nimport sockets"),
    ],
)
def test_checker_allows(name, source):
    assert violations(source, name, package=name == "rovy") == []


def violations(source: str, name: str, *, package: bool) -> list[str]:
    """What a module imports and should not, each with its reason."""
    owner = part_of(name)
    if owner != FACE and owner not in RANKS:
        return [f"{name}: {owner} has no rank; add it to RANKS"]
    home = name if package else name.rpartition(".")[0]
    problems = []
    for imported, line, lazy in imports(ast.parse(source), home):
        if reason := objection(owner, imported, lazy):
            problems.append(f"{name}:{line} imports {imported or 'beyond rovy'}: {reason}")
    return problems


def objection(owner: str, imported: str, lazy: bool) -> str | None:
    root = imported.partition(".")[0]
    if root != "rovy":
        pure = owner != FACE and RANKS[owner] <= LAST_PURE_RANK
        if not root:
            return "the relative import leaves the package"
        if pure and imported == "importlib.import_module":
            return "call importlib.import_module by its full name, so that this test can follow"
        return FORBIDDEN.get(root) if pure else None
    target = part_of(imported)
    if target == owner or imported == "rovy.__version__":
        return None
    if owner == FACE:
        return face_objection(target, lazy)
    if target == FACE or (target not in RANKS and imported.count(".") == 1 and target[0].isupper()):
        return "import from the module that owns the name, not from the package's face"
    if target not in RANKS:
        return f"{target} has no rank; add it to RANKS"
    return rank_objection(owner, target)


def face_objection(target: str, lazy: bool) -> str | None:
    if target in FACE_AT_ONCE or (lazy and target in FACE_ON_DEMAND):
        return None
    if target in FACE_ON_DEMAND:
        return "only on demand, inside a function: importing rovy has to stay cheap"
    return "the face shows " + ", ".join(sorted(FACE_AT_ONCE | FACE_ON_DEMAND)) + " and no more"


def rank_objection(owner: str, target: str) -> str | None:
    if owner in ONLY:
        allowed, reason = ONLY[owner]
        return None if target in allowed else reason
    users, reason = ONLY_FOR.get(target, ({owner}, ""))
    if owner not in users:
        return reason
    if RANKS[target] < RANKS[owner] or target in WITHIN_RANK.get(owner, ()):
        return None
    return (
        f"rank {RANKS[owner]} imports rank {RANKS[target]}; only lower ranks, the node joins them"
    )


def imports(tree: ast.AST, home: str, lazy: bool = False) -> Iterator[tuple[str, int, bool]]:
    """Each imported name in full, its line, and whether importing the module does not run it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, lazy
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node, home)
            for name in from_names(base, [alias.name for alias in node.names]):
                yield name, node.lineno, lazy
        elif (name := imported_by_call(node)) is not None:
            yield name, node.lineno, lazy
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from imports(node, home, lazy or inside or is_for_types(node))


def from_names(base: str, names: list[str]) -> list[str]:
    # Below rovy.<part> the names do not matter, so one entry is enough.
    if base in {"rovy", "importlib"}:
        return [f"{base}.{name}" for name in names]
    return [base]


def absolute(node: ast.ImportFrom, home: str) -> str:
    if node.level == 0:
        return node.module or ""
    parents = home.split(".")
    if node.level > len(parents):
        return ""
    base = parents[: len(parents) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def imported_by_call(node: ast.AST) -> str | None:
    match node:
        case ast.Call(
            func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            return name
    return None


def is_for_types(node: ast.AST) -> bool:
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
            return True
    return False


def part_of(name: str) -> str:
    """`session` for `rovy.session.table`; the face for `rovy` itself."""
    return name.split(".")[1] if "." in name else FACE
