"""The loop whose clock jumps."""

import asyncio

import pytest

from rovy.io.virtual import Stalled, VirtualLoop, run


def loop() -> VirtualLoop:
    return asyncio.get_running_loop()


def test_time_jumps_to_timers_and_entries_in_order():
    seen = []

    async def main():
        start = loop().time()
        for at, name in ((3.0, "c"), (1.0, "a"), (2.0, "b"), (2.0, "b again")):
            loop().enter(start + at, lambda one, _: seen.append((one, loop().time())), name, None)
        await asyncio.sleep(2.5)
        seen.append(("timer", loop().time()))
        await asyncio.sleep(10.0)
        return loop().time() - start

    assert run(main()) == pytest.approx(12.5)
    assert [name for name, _ in seen] == ["a", "b", "b again", "timer", "c"]
    assert [at - 1000.0 for _, at in seen] == pytest.approx([1.0, 2.0, 2.0, 2.5, 3.0])


def test_an_entry_may_wake_who_waits_and_enter_more():
    async def main():
        woken = loop().create_future()

        def first(one, _):
            loop().enter(loop().time() + 1.0, second, one + 1, None)

        def second(one, _):
            woken.set_result(one + 1)

        loop().enter(loop().time() + 1.0, first, 1, None)
        assert await woken == 3
        return loop().time()

    assert run(main()) == pytest.approx(1002.0)


def test_an_entry_that_fails_is_told_as_a_failing_callback_is():
    told = []

    async def main():
        loop().set_exception_handler(lambda _, context: told.append(context["exception"]))

        def fail(one, _):
            raise ValueError(one)

        loop().enter(loop().time() + 1.0, fail, "no", None)
        await asyncio.sleep(2.0)

    run(main())
    assert [str(error) for error in told] == ["no"]


def test_who_waits_for_nothing_is_told():
    own = VirtualLoop()
    with pytest.raises(Stalled):
        own.run_until_complete(own.create_future())
    own.close()
