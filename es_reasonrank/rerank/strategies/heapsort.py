"""Setwise heapsort: a heap of many children, whose comparison is one question for the best of a set.

Source: setwise prompting (Zhuang et al., 2310.09497); 19 children and k = 10 as in Rank-R1 (2503.06034).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from es_reasonrank.rerank.strategies import Ask, Standing
from es_reasonrank.validation import Checked


class HeapsortOptions(Checked):
    """The heap's numbers."""

    children: int = Field(19, ge=1, description="Children of a node; a window shows at most one passage more.")
    k: int = Field(10, ge=1, description="Passages that are brought to the head, best first.")


class HeapsortStrategy:
    """Only the first of a verdict is used. A perfect judge's top k come out in order.

    In a heap no node stands before its parent. A window's best is moved before all that it was shown with, and
    nothing else moves: so the standing holds that order too, its head is the heap's root, and a verdict that
    failed, whose best is the first shown, moves nothing.
    """

    options_model: ClassVar = HeapsortOptions
    needs_scores: ClassVar = False
    stages: ClassVar = ()

    def __init__(self, options: HeapsortOptions) -> None:
        self.options = options

    async def rank(self, standing: Standing, ask: Ask) -> None:
        """About (n - 1) / children calls for the heap, those of one level at once, then k log_children(n) in turn."""
        heap = list(standing.order)
        for level in levels(len(heap), self.options.children):
            async with asyncio.TaskGroup() as group:
                for node in level:
                    group.create_task(self._sift(heap, node, standing, ask))
        for _ in range(1, min(self.options.k, len(heap))):
            heap[0] = heap.pop()
            await self._sift(heap, 0, standing, ask)

    async def _sift(self, heap: list[int], node: int, standing: Standing, ask: Ask) -> None:
        """Let the item at `node` sink to where no child is better, one window a level."""
        while True:
            first = self.options.children * node + 1
            family = [node, *range(first, min(first + self.options.children, len(heap)))]
            if len(family) < 2:
                return
            places = {item: place for place, item in enumerate(standing.order)}
            family.sort(key=lambda member: places[heap[member]])
            shown = [heap[member] for member in family]
            verdict = await ask(shown)
            best = family[verdict.order[0]]
            _move_before(standing.order, heap[best], shown[0])
            if best == node:
                return
            heap[node], heap[best] = heap[best], heap[node]
            node = best


def levels(size: int, children: int) -> Iterator[range]:
    """The nodes that have children, level by level, the deepest first, in a heap of `size` nodes.

    >>> list(levels(100, 19))
    [range(1, 6), range(0, 1)]
    """
    last, starts, width = (size - 2) // children, [0], 1
    while starts[-1] <= last:
        starts.append(starts[-1] + width)
        width *= children
    for start, end in zip(starts[-2::-1], starts[:0:-1], strict=True):
        yield range(start, min(end, last + 1))


def _move_before(order: list[int], item: int, other: int) -> None:
    if item != other:
        order.remove(item)
        order.insert(order.index(other), item)
