"""The benchmarks' bookkeeping, on made-up figures; nothing is measured here."""

import json
from pathlib import Path

import pytest

from rovy.address.keys import PrivateKey
from tests.bench import compare, keys, table
from tests.bench.record import BadRecord, Result, load, save
from tests.bench.registry import benchmark, matches

RATE = Result("made.rate", 2.0, "Gbit/s", "other", 0.5, 5, 0.1)
TIME = Result("made.time", 30.0, "µs", "other", 3.0, 5, 0.1)
ALONE = Result("made.bytes", 7000.0, "bytes", None, None, 5, 0.02)


def changed(result: Result, **parts: float | str | None) -> Result:
    fields = {name: getattr(result, name) for name in Result.__dataclass_fields__}
    return Result(**(fields | parts))


def only_change(before: Result, now: Result) -> compare.Change:
    (change,) = compare.changes([before], [now])
    return change


def test_summing_up_takes_medians_and_pairs_each_run_with_its_baseline():
    result = Result.of("x", "µs", [10.0, 30.0, 20.0], "y", [10.0, 10.0, 10.0])
    assert result == Result("x", 20.0, "µs", "y", 2.0, 3, 0.5)
    slow_machine_in_one_run = Result.of("x", "µs", [2.0, 2.0, 9.0], "y", [1.0, 1.0, 4.5])
    assert slow_machine_in_one_run.ratio == 2.0
    assert slow_machine_in_one_run.spread == 0.0


def test_nothing_lost_has_no_spread():
    assert Result.of("loss", "% lost", [0.0, 0.0, 0.0]).spread == 0.0


def test_file_has_the_documented_fields_and_reads_back(tmp_path: Path):
    path = tmp_path / "made" / "bench.json"
    save(path, [RATE, TIME, ALONE])
    entries = json.loads(path.read_text())
    assert set(entries[0]) == {"name", "value", "unit", "baseline", "ratio", "runs", "spread"}
    assert entries[2]["baseline"] is None
    assert load(path) == [RATE, TIME, ALONE]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '[{"name": "x"}]',
        '[{"name": 1, "value": 1, "unit": "", "baseline": null, "ratio": null, "runs": 1,'
        ' "spread": 0}]',
        '[{"name": "x", "value": NaN, "unit": "", "baseline": null, "ratio": null, "runs": 1,'
        ' "spread": 0}]',
        '[{"name": "x", "value": 1, "unit": "", "baseline": "y", "ratio": null, "runs": 1,'
        ' "spread": 0}]',
    ],
)
def test_anything_else_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "bench.json"
    path.write_text(text)
    with pytest.raises(BadRecord):
        load(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(BadRecord):
        load(tmp_path / "none.json")


def test_ratios_are_compared_where_there_are_some():
    faster_machine = changed(RATE, value=4.0)
    assert only_change(RATE, faster_machine).by == "ratio"
    assert only_change(RATE, faster_machine).share == 0.0


def test_values_are_compared_without_a_baseline_or_with_another_one():
    assert only_change(ALONE, changed(ALONE, value=7700.0)).by == "bytes"
    assert only_change(RATE, changed(RATE, baseline="third")).by == "Gbit/s"


@pytest.mark.parametrize(
    ("before", "now", "mark"),
    [
        (RATE, changed(RATE, ratio=0.57), ""),
        (RATE, changed(RATE, ratio=0.43), ""),
        (RATE, changed(RATE, ratio=0.58), "better"),
        (RATE, changed(RATE, ratio=0.42), "worse"),
        (TIME, changed(TIME, ratio=3.6), "worse"),
        (TIME, changed(TIME, ratio=2.4), "better"),
        (ALONE, changed(ALONE, value=9000.0), "worse"),
    ],
)
def test_changes_above_fifteen_percent_are_marked(before: Result, now: Result, mark: str):
    assert only_change(before, now).mark == mark


def test_from_nothing_to_something_is_marked():
    none = Result("loss", 0.0, "% lost", None, None, 5, 0.0)
    assert only_change(none, changed(none, value=3.0)).mark == "worse"
    assert only_change(none, none).mark == ""


def test_what_one_run_lacks_is_named():
    assert compare.only_in_one([RATE, TIME], [TIME, ALONE]) == ["made.bytes", "made.rate"]
    assert any("one of the runs" in line for line in table.comparison([RATE], [TIME]))


def test_rows_fit_eighty_columns():
    long = changed(RATE, name="n" * 30, value=12345678.0, unit="packets/s", baseline="b" * 40)
    lines = [*table.heading().splitlines(), table.row(long)]
    lines += table.comparison([long, RATE], [changed(long, ratio=2.0), ALONE])
    lines += table.goal_rows([changed(RATE, name="flood.goodput", ratio=0.25)])
    assert max(map(len, lines)) <= table.WIDTH


def test_goals_say_what_was_reached():
    reached = changed(RATE, name="flood.goodput", ratio=0.75)
    assert list(table.goal_rows([reached]))[-1].endswith(" reached")
    missed = changed(TIME, name="ping.1hop.pure", value=400.0)
    assert list(table.goal_rows([missed]))[-1].endswith("NOT REACHED")
    assert not list(table.goal_rows([ALONE]))


def test_names_are_chosen_by_dotted_start():
    assert matches("forwarder.pure.1400B", ["forwarder"])
    assert matches("switch", ["ping", "switch"])
    assert not matches("forwarder.pure", ["forward"])
    assert matches("anything", [])


def test_a_benchmark_gives_no_names_it_did_not_declare():
    @benchmark("made.time")
    def other(scale: object):
        yield RATE

    with pytest.raises(AssertionError):
        list(other.run(None))  # type: ignore[arg-type]


def test_fast_keys_are_keys(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keys, "STEPS", 32)
    found = keys.private_keys(2)
    assert all(PrivateKey(private.secret) == private for private in found)
    assert found[0] != found[1]
