"""Processes of a benchmark: each runs one object on an event loop and does what it is told."""

import asyncio
import inspect
import os
import signal
import traceback
from collections.abc import Callable, Coroutine
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

try:
    import uvloop
except ImportError:  # the event loop of the standard library serves too
    uvloop = None  # type: ignore[assignment]

PATIENCE = 30.0
"""Seconds after which a child that does not answer has failed."""
SPAWN = get_context("spawn")


def cores() -> tuple[int, int]:
    """The core for what is measured, and another one, if there is, for the rest."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def run_loop(work: Coroutine[Any, Any, Any], *, fast: bool = True) -> Any:
    """Run on uvloop where it is installed, or, if not `fast`, on plain asyncio."""
    factory = uvloop.new_event_loop if fast and uvloop else None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)


class Child:
    """A process that makes `factory(*arguments)`, an asynchronous context manager.

    The methods of what it enters are called by name. The process ends with the context, or when
    this one is gone.
    """

    def __init__(
        self, factory: Callable[..., Any], *arguments: Any, core: int, fast: bool = True
    ) -> None:
        self._pipe, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(
            target=_main, args=(theirs, factory, arguments, core, fast), daemon=True
        )
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pipe.close()
        self._process.join(3.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method there and wait for what it returns."""
        self.post(method, *arguments)
        return self.take()

    def post(self, method: str, *arguments: Any) -> None:
        """Call a method there; `take` gets its result."""
        self._pipe.send((method, arguments))

    def take(self) -> Any:
        """The result of the oldest call. Raises `RuntimeError` where it failed."""
        if not self._pipe.poll(PATIENCE):
            raise RuntimeError("a process of the benchmark does not answer")
        try:
            worked, result = self._pipe.recv()
        except EOFError:
            raise RuntimeError("a process of the benchmark ended") from None
        if not worked:
            raise RuntimeError(result)
        return result


def _main(
    pipe: Connection, factory: Callable[..., Any], arguments: Any, core: int, fast: bool
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.sched_setaffinity(0, {core})
    run_loop(_serve(pipe, factory, arguments), fast=fast)


async def _serve(pipe: Connection, factory: Callable[..., Any], arguments: Any) -> None:
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pipe.fileno(), readable.set)
    os.set_blocking(pipe.fileno(), True)  # a message may come in several parts
    try:
        async with factory(*arguments) as target:
            pipe.send((True, None))
            while True:
                await readable.wait()
                readable.clear()
                while pipe.poll():
                    pipe.send(await _call(target, *pipe.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # told to end
    finally:
        loop.remove_reader(pipe.fileno())


async def _call(target: Any, method: str, arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    try:
        result = getattr(target, method)(*arguments)
        return True, await result if inspect.isawaitable(result) else result
    except Exception:
        return False, traceback.format_exc()
