"""The bounded queue: so many at a time, so many waiting, in order, and no place is lost."""

from __future__ import annotations

import asyncio

import pytest

from es_reasonrank.service.gate import Gate, Overloaded


class Visitor:
    """Enters, and stays until it is let go."""

    def __init__(self, gate: Gate, log: list[int] | None = None, number: int = 0) -> None:
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(gate, log if log is not None else [], number))

    async def _visit(self, gate: Gate, log: list[int], number: int) -> None:
        async with gate.entered():
            log.append(number)
            await self.leave.wait()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_so_many_at_a_time_and_so_many_waiting() -> None:
    gate = Gate(2, 1)
    visitors = [Visitor(gate) for _ in range(3)]
    await settled()
    assert (gate.running, gate.waiting) == (2, 1)
    with pytest.raises(Overloaded):
        async with gate.entered():
            pass
    for visitor in visitors:
        visitor.leave.set()
    await asyncio.gather(*(visitor.task for visitor in visitors))
    assert (gate.running, gate.waiting) == (0, 0)


async def test_without_a_queue_nobody_waits() -> None:
    gate = Gate(1, 0)
    async with gate.entered():
        with pytest.raises(Overloaded):
            async with gate.entered():
                pass
    async with gate.entered():
        assert gate.running == 1


async def test_turns_come_in_order() -> None:
    gate, log = Gate(1, 10), list[int]()
    visitors = [Visitor(gate, log, number) for number in range(5)]
    await settled()
    for visitor in visitors:
        visitor.leave.set()
        await settled()
    assert log == [0, 1, 2, 3, 4]


async def test_who_leaves_the_queue_frees_his_place() -> None:
    gate = Gate(1, 1)
    inside, waiting = Visitor(gate), Visitor(gate)
    await settled()
    waiting.task.cancel()
    await settled()
    assert gate.waiting == 0
    other = Visitor(gate)
    await settled()
    inside.leave.set()
    await settled()
    assert (gate.running, gate.waiting) == (1, 0)
    other.leave.set()
    await other.task


async def test_a_turn_that_comes_as_its_owner_leaves_is_not_lost() -> None:
    """The slot is handed over and the waiting one cancelled in the same step of the loop."""
    gate = Gate(1, 2)
    inside, leaving, staying = Visitor(gate), Visitor(gate), Visitor(gate)
    await settled()
    inside.leave.set()
    await asyncio.sleep(0)
    leaving.task.cancel()
    await settled()
    assert (gate.running, gate.waiting) == (1, 0)
    staying.leave.set()
    await staying.task
    assert gate.running == 0


async def test_an_error_inside_frees_the_slot() -> None:
    gate = Gate(1, 0)
    with pytest.raises(ValueError, match="inside"):
        async with gate.entered():
            raise ValueError("inside")
    assert gate.running == 0
