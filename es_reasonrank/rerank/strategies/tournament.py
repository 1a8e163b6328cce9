"""The tournament: groups send their best on, stage by stage; points of several tournaments are summed.

Source: TourRank (Chen et al., 2406.11678): 100 passages, then 50, 20, 10, 5 and 2; a point for advancing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from pydantic import Field, model_validator

from es_reasonrank.rerank.strategies import Ask, Standing
from es_reasonrank.validation import Checked


class Stage(Checked):
    """A stage of a tournament."""

    size: int = Field(ge=3, description="Passages of a group.")
    advance: int = Field(ge=1, description="Passages of a full group that advance; of a smaller one in proportion.")

    @model_validator(mode="after")
    def _some_stay(self) -> Self:
        if self.advance >= self.size:
            raise ValueError(f"advance {self.advance} must be smaller than size {self.size}: all would advance")
        return self

    def quota(self, group: int) -> int:
        """How many of a group of `group` advance: its share, rounded up, but never all."""
        return min(group - 1, -(-group * self.advance // self.size))


TOURRANK = tuple(Stage(size=size, advance=advance) for size, advance in ((20, 10), (10, 4), (20, 10), (10, 5), (5, 2)))


class TournamentOptions(Checked):
    """The tournaments' numbers."""

    plan: tuple[Stage, ...] = Field(
        TOURRANK, min_length=1, description="Stages, as `size` and `advance` of their groups."
    )
    rounds: int = Field(1, ge=1, description="Tournaments, played at once with other groups; the paper plays up to 10.")
    seed: int = Field(0, description="Seed of the draw.")


@dataclass(slots=True)
class _Result:
    """What a passage has reached in one tournament."""

    points: int = 0
    ahead: float = 0.5
    """Share of the others of its last group that it stands ahead of; a half while no verdict says."""


_Table = dict[int, _Result]


class TournamentStrategy:
    """All groups of a stage at once, and all tournaments at once.

    A failed group sends on those that stand first, but gives no points. Equal points are told apart by the places
    in the last groups; the paper leaves them in the incoming order, because its verdicts are choices and ours are
    orders. So with a perfect judge the best comes first, and the head is right as far as the fewest that a group
    of a stage with several groups sends on: 4 at 100 passages, and all of a list that fits one group.
    """

    options_model: ClassVar = TournamentOptions
    needs_scores: ClassVar = False
    stages: ClassVar = ()

    def __init__(self, options: TournamentOptions) -> None:
        self.options = options

    async def rank(self, standing: Standing, ask: Ask) -> None:
        """At 100 passages, 13 calls a tournament in five steps. A stage counts when all its groups are through."""
        items = tuple(standing.order)
        tables = [{item: _Result() for item in items} for _ in range(self.options.rounds)]

        async def play(number: int) -> None:
            dice, table, contenders = random.Random(f"{self.options.seed} {number}"), tables[number], items
            while len(contenders) > 1:
                stage = self._stage(len(contenders))
                groups = drawn(contenders, -(-len(contenders) // stage.size), dice)
                advancing = await _played(groups, stage, table, ask)
                standing.order[:] = _ordered(items, tables)
                final = len(groups) == 1 and stage is self.options.plan[-1]
                contenders = () if final else _ordered([item for item in items if item in advancing], [table])

        async with asyncio.TaskGroup() as group:
            for number in range(self.options.rounds):
                group.create_task(play(number))

    def _stage(self, contenders: int) -> Stage:
        """The last stage of the plan from which so many come to a single final; the first where they are too many.

        So a shorter list enters the plan where it fits, and a longer one plays the first stage again.
        """
        room = 1
        for stage in reversed(self.options.plan):
            room = stage.size * max(1, room // stage.advance)
            if room >= contenders:
                return stage
        return self.options.plan[0]


def drawn(contenders: Sequence[int], count: int, dice: random.Random) -> list[list[int]]:
    """`count` groups of equal strength: each has one, drawn by lot, of every `count` that stand together.

    Groups keep the order of the contenders; their sizes differ by one at most.
    """
    groups: list[list[int]] = [[] for _ in range(count)]
    for start in range(0, len(contenders), count):
        pot = contenders[start : start + count]
        for number, item in zip(dice.sample(range(count), len(pot)), pot, strict=True):
            groups[number].append(item)
    return groups


async def _played(groups: Sequence[Sequence[int]], stage: Stage, table: _Table, ask: Ask) -> set[int]:
    """Play all groups of a stage, enter the results, and say who advances."""
    async with asyncio.TaskGroup() as tasks:
        games = [tasks.create_task(ask(group)) for group in groups]
    advancing: set[int] = set()
    for group, game in zip(groups, games, strict=True):
        verdict, quota = game.result(), stage.quota(len(group))
        ranked = [group[place] for place in verdict.order]
        advancing.update(ranked[:quota])
        for place, item in enumerate(ranked if verdict.outcome.ranks else ()):
            table[item].points += place < quota
            table[item].ahead = 1 - place / (len(group) - 1)
    return advancing


def _ordered(items: Sequence[int], tables: Sequence[_Table]) -> tuple[int, ...]:
    """The items by their results in all tables; equal ones keep their order."""

    def total(item: int) -> tuple[int, float]:
        results = [table[item] for table in tables]
        return sum(result.points for result in results), sum(result.ahead for result in results)

    return tuple(sorted(items, key=total, reverse=True))
