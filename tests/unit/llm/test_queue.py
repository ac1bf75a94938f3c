"""The request queue: limit, rotation between origins, leaving, refusal."""

from __future__ import annotations

import asyncio

import pytest

from peersky.core.errors import QuotaExceeded
from peersky.core.origins import Origin
from peersky.llm.queue import RequestQueue

A, B, C = (Origin("hyper", name) for name in "abc")


class Crowd:
    """Requests that hold their turn until they are told to end; ``served`` lists who got a turn, in order."""

    def __init__(self, queue: RequestQueue) -> None:
        self.queue = queue
        self.served: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def join(self, *names: str) -> None:
        """Let requests come, named ``a1``: the letter is the origin's host; ``a1c`` is a frame's in a page of ``c``."""
        for name in names:
            self._ends[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._hold(name))
            await settle()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self.tasks.pop(name)
        await settle()

    async def _hold(self, name: str) -> None:
        async with self.queue.turn(Origin("hyper", name[0]), Origin("hyper", name[2]) if name[2:] else None):
            self.served.append(name)
            await self._ends[name].wait()


async def settle() -> None:
    """Let every task run as far as it can: nothing here waits for more than other tasks."""
    for _ in range(10):
        await asyncio.sleep(0)


async def finish(crowd: Crowd) -> None:
    for task in crowd.tasks.values():
        task.cancel()
    await asyncio.gather(*crowd.tasks.values(), return_exceptions=True)


async def test_only_the_limit_runs_at_once() -> None:
    crowd = Crowd(RequestQueue(lambda: 2))
    await crowd.join("a1", "a2", "a3")
    assert crowd.served == ["a1", "a2"]
    assert crowd.queue.running == 2
    assert crowd.queue.waiting(A) == 1
    await crowd.end("a1")
    assert crowd.served == ["a1", "a2", "a3"]
    await finish(crowd)
    assert crowd.queue.running == 0


async def test_one_origin_with_fifty_delays_another_by_one_turn() -> None:
    crowd = Crowd(RequestQueue(lambda: 1))
    many = [f"a{number}" for number in range(50)]
    await crowd.join(*many)
    await crowd.join("b1")
    assert crowd.queue.position(B) == 2
    await crowd.end("a0")
    await crowd.end("a1")
    assert crowd.served == ["a0", "a1", "b1"]
    await finish(crowd)


async def test_lines_are_served_in_rotation() -> None:
    crowd = Crowd(RequestQueue(lambda: 1))
    await crowd.join("a0", "a1", "a2", "b1", "b2", "c1")
    assert [crowd.queue.position(origin) for origin in (A, B, C)] == [1, 2, 3]
    for name in ["a0", "a1", "b1", "c1", "a2", "b2"]:
        assert crowd.served[-1] == name
        await crowd.end(name)
    assert crowd.queue.position(A) == 0


async def test_an_origin_that_comes_again_and_again_does_not_overtake() -> None:
    crowd = Crowd(RequestQueue(lambda: 1))
    await crowd.join("b1", "a1", "c1")
    await crowd.end("b1")
    await crowd.join("b2")
    await crowd.end("a1")
    assert crowd.served == ["b1", "a1", "c1"]
    await finish(crowd)


async def test_a_cancelled_wait_leaves_at_once() -> None:
    crowd = Crowd(RequestQueue(lambda: 1))
    await crowd.join("a1", "b1", "c1")
    crowd.tasks["b1"].cancel()
    await settle()
    assert crowd.queue.waiting(B) == 0
    assert crowd.queue.position(C) == 1
    await crowd.end("a1")
    assert crowd.served == ["a1", "c1"]
    await finish(crowd)


async def test_a_turn_given_to_a_request_that_is_cancelled_in_the_same_moment_is_passed_on() -> None:
    queue, held = RequestQueue(lambda: 1), asyncio.Event()
    crowd = Crowd(queue)

    async def hold_then_cancel_the_next() -> None:
        async with queue.turn(A):
            await held.wait()
        crowd.tasks["b1"].cancel()

    holder = asyncio.create_task(hold_then_cancel_the_next())
    await settle()
    await crowd.join("b1", "c1")
    held.set()
    await holder
    await settle()
    assert crowd.served == ["c1"]
    assert queue.running == 1
    await finish(crowd)


async def test_a_full_line_refuses_its_own_origin_only() -> None:
    crowd = Crowd(RequestQueue(lambda: 1, max_waiting=lambda _origin: 2))
    await crowd.join("a1", "a2", "a3")
    with pytest.raises(QuotaExceeded, match="2 questions waiting") as caught:
        async with crowd.queue.turn(A):
            pass
    assert (caught.value.reason, caught.value.requested, caught.value.quota) == ("queue_full", 3, 2)
    await crowd.join("b1")
    assert crowd.queue.waiting(B) == 1
    await finish(crowd)


async def test_an_error_gives_the_turn_back() -> None:
    queue = RequestQueue(lambda: 1)
    with pytest.raises(ValueError, match="broke"):
        async with queue.turn(A):
            raise ValueError("broke")
    async with asyncio.timeout(5), queue.turn(B):
        assert queue.running == 1


async def test_a_raised_limit_counts_for_those_who_wait() -> None:
    limit = 1
    crowd = Crowd(RequestQueue(lambda: limit))
    await crowd.join("a1", "a2")
    limit = 3
    await crowd.join("b1")
    assert sorted(crowd.served) == ["a1", "a2", "b1"]
    await finish(crowd)


async def test_a_page_that_is_looked_at_goes_first_and_the_background_gets_every_other_turn() -> None:
    crowd = Crowd(RequestQueue(lambda: 1, is_visible=lambda origin: origin == C))
    await crowd.join("a0", "a1", "a2", "b1", "c1", "c2", "c3")
    assert [crowd.queue.position(origin) for origin in (A, B, C)] == [2, 3, 1]
    for name in ["a0", "c1", "a1", "c2", "b1", "c3", "a2"]:
        assert crowd.served[-1] == name
        await crowd.end(name)


async def test_a_frame_is_looked_at_where_its_page_is() -> None:
    crowd = Crowd(RequestQueue(lambda: 1, is_visible=lambda page: page == C))
    await crowd.join("b0", "a1", "b1c", "c1a")
    assert [crowd.queue.position(origin) for origin in (A, B, C)] == [2, 1, 3]
    for name in ["b0", "b1c", "a1", "c1a"]:
        assert crowd.served[-1] == name
        await crowd.end(name)


async def test_a_visible_page_with_one_question_waits_for_no_line_of_fifty() -> None:
    crowd = Crowd(RequestQueue(lambda: 1, is_visible=lambda origin: origin == B))
    await crowd.join(*(f"a{number}" for number in range(50)), "b1")
    assert crowd.queue.position(B) == 1
    await crowd.end("a0")
    assert crowd.served == ["a0", "b1"]
    await finish(crowd)


async def test_one_origin_gets_no_more_than_its_share_and_blocks_nobody() -> None:
    crowd = Crowd(RequestQueue(lambda: 3, parallel=lambda origin: 1 if origin == A else 3))
    await crowd.join("a1", "a2", "b1", "b2")
    assert crowd.served == ["a1", "b1", "b2"]
    await crowd.end("b1")
    assert crowd.queue.waiting(A) == 1
    await crowd.end("a1")
    assert crowd.served[-1] == "a2"
    await finish(crowd)
    assert crowd.queue.running == 0
