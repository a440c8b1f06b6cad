"""Rules for every test: nothing is left running, and under --no-skips nothing is left out."""

import asyncio
import asyncio.runners
import os
import threading
from collections.abc import Iterator

import hypothesis
import pytest

THREAD_GRACE = 1.0  # seconds a thread told to stop may take to end

hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help="a skipped test fails the run, as in CI"
    )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if skipped_where_forbidden(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    if count := skipped_where_forbidden(config):
        terminalreporter.write_line(f"{count} skipped, and --no-skips was given", red=True)


def skipped_where_forbidden(config: pytest.Config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not config.getoption("--no-skips"):
        return 0
    return len(reporter.stats.get("skipped", ()))


@pytest.fixture(autouse=True)
def nothing_leaks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that leaves a task or a thread behind."""
    tasks: list[str] = []
    threads = set(threading.enumerate())
    watch_closing_loops(monkeypatch, tasks)
    yield
    leaked = [thread for thread in threading.enumerate() if thread not in threads]
    for thread in leaked:
        thread.join(THREAD_GRACE)
    running = [thread.name for thread in leaked if thread.is_alive()]
    assert not tasks, f"tasks still running when their loop closed: {tasks}"
    assert not running, f"threads still running: {running}"


def watch_closing_loops(monkeypatch: pytest.MonkeyPatch, leaked: list[str]) -> None:
    # asyncio.run cancels what is left without a word, so look just before it does.
    cancel_all = asyncio.runners._cancel_all_tasks

    def note_and_cancel(loop: asyncio.AbstractEventLoop) -> None:
        leaked.extend(repr(task) for task in asyncio.all_tasks(loop))
        cancel_all(loop)

    monkeypatch.setattr(asyncio.runners, "_cancel_all_tasks", note_and_cancel)
