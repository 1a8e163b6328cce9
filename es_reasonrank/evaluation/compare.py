"""What roll-out logs tell: how far reranking changes what users see, how often it fails, and what users click on.

The files are read twice, clicks first, so that only clicks and users are held, never all searches.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from es_reasonrank.evaluation.agreement import mean_move, overlap, rank_biased_overlap
from es_reasonrank.evaluation.preference import Difference, Duel, difference, duel
from es_reasonrank.evaluation.rollout_log import Broken, Clicked, Searched, Team, read

TOP = 10
"""How many results count as the top."""


@dataclass(frozen=True)
class Arm:
    """What was answered to the users of one arm. A page is one answered request; further pages are pages too."""

    pages: int
    users: int
    clicked: int
    """Pages with a click."""
    conversions: int
    statuses: dict[str, int]
    reasons: dict[str, int]
    """Why searches did not get all of their reranking."""
    p50: float | None
    """Milliseconds that reranking took, in the middle."""
    p95: float | None
    p99: float | None


@dataclass(frozen=True)
class Changes:
    """How far the two orders are apart: means over the first pages whose reranking named an order."""

    searches: int
    top_order: float
    """Share of searches whose top 10 is not the same list."""
    top_items: float
    """Share whose top 10 holds other documents."""
    first: float
    """Share with another first result."""
    overlap: float
    """Share of the top 10 that both orders have there."""
    rbo: float
    """Rank-biased overlap, persistence 0.9: 1 for the same order."""
    moved: float
    """Places that a document of the window moves."""


@dataclass(frozen=True)
class Comparison:
    """All that the logs tell."""

    pages: int
    clicks: int
    strays: int
    """Clicks that name no search of these files."""
    broken: int
    first_broken: str
    arms: dict[str, Arm]
    changes: dict[str, Changes]
    interleaving: Duel | None
    click_through: Difference | None
    """Share of a user's pages with a click."""
    reciprocal_rank: Difference | None
    """Mean over a user's pages of 1 / place of the first click; 0 without a click. None where a place is unknown."""
    unplaced: int
    """Pages of these two arms with a click whose place is neither in the log nor told by its sender."""
    in_both_arms: int
    """Users who saw both arms, and are left out of the two above."""


def compare(paths: Sequence[Path]) -> Comparison:
    """Read the logs.

    Raises:
        DataError: a file cannot be read.
    """
    broken = Broken()
    clicks: Clicks = defaultdict(dict)
    for line in read(paths, broken):
        if isinstance(line, Clicked):
            clicks[line.search][line.id] = line
    tally = _Tally(clicks)
    for line in read(paths, Broken()):
        if isinstance(line, Searched):
            tally.add(line)
    return tally.result(broken)


Clicks = defaultdict[str, dict[str, Clicked]]
"""The clicks of each search by their own ids."""


@dataclass
class _ArmTally:
    pages: int = 0
    users: set[str] = field(default_factory=set)
    clicked: int = 0
    conversions: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    took: array[float] = field(default_factory=lambda: array("d"))

    def result(self) -> Arm:
        took = sorted(self.took)
        p50, p95, p99 = (_percentile(took, share) for share in (0.5, 0.95, 0.99))
        statuses, reasons = dict(self.statuses.most_common()), dict(self.reasons.most_common())
        return Arm(self.pages, len(self.users), self.clicked, self.conversions, statuses, reasons, p50, p95, p99)


@dataclass
class _ChangeTally:
    searches: int = 0
    sums: tuple[float, ...] = (0.0,) * 6

    def add(self, base: Sequence[str], reranked: Sequence[str]) -> None:
        top, new = base[:TOP], reranked[:TOP]
        values = (
            top != new,
            set(top) != set(new),
            top[:1] != new[:1],
            overlap(base, reranked, TOP),
            rank_biased_overlap(base, reranked),
            mean_move(base, reranked),
        )
        self.searches += 1
        self.sums = tuple(map(sum, zip(self.sums, values, strict=True)))

    def result(self) -> Changes:
        return Changes(self.searches, *(value / self.searches for value in self.sums))


@dataclass
class _UserTally:
    """What one user did with the pages of one arm."""

    pages: int = 0
    clicked: int = 0
    reciprocal: float = 0.0


@dataclass
class _DuelTally:
    """What one user clicked in one interleaved search, its repeats and further pages included."""

    clicked: dict[Team, set[str]] = field(default_factory=lambda: {"base": set(), "reranked": set()})
    same: bool = True


class _Tally:
    """Takes searches one by one."""

    def __init__(self, clicks: Clicks) -> None:
        self._clicks = clicks
        self._known: set[str] = set()
        self._unplaced = 0
        self._arms: defaultdict[str, _ArmTally] = defaultdict(_ArmTally)
        self._changes: defaultdict[str, _ChangeTally] = defaultdict(_ChangeTally)
        self._users: defaultdict[str, dict[str, _UserTally]] = defaultdict(dict)
        self._duels: defaultdict[tuple[str, str, str], _DuelTally] = defaultdict(_DuelTally)

    def add(self, line: Searched) -> None:
        """Count one search."""
        places = _clicked(line, self._clicks[line.id]) if line.id in self._clicks else {}
        if places:
            self._known.add(line.id)
        self._add_to_arm(line, bool(places))
        if line.arm in ("base", "reranked"):
            self._add_to_user(line, places)
        if line.team and places:
            self._add_to_duel(line, places)
        if line.reranked and line.offset == 0 and line.status in ("ok", "partial"):
            self._changes[line.arm].add(line.base, line.reranked)

    def result(self, broken: Broken) -> Comparison:
        """What it comes to."""
        strays = self._clicks.keys() - self._known
        by_user = [arms for arms in self._users.values() if len(arms) == 1]
        return Comparison(
            pages=sum(arm.pages for arm in self._arms.values()),
            clicks=sum(len(clicks) for clicks in self._clicks.values()),
            strays=sum(len(self._clicks[search]) for search in strays),
            broken=broken.count,
            first_broken=broken.first,
            arms={name: arm.result() for name, arm in sorted(self._arms.items())},
            changes={name: tally.result() for name, tally in sorted(self._changes.items())},
            interleaving=self._duel() if "interleaved" in self._arms else None,
            click_through=_compared(by_user, lambda user: user.clicked / user.pages),
            reciprocal_rank=(None if self._unplaced else _compared(by_user, lambda user: user.reciprocal / user.pages)),
            unplaced=self._unplaced,
            in_both_arms=len(self._users) - len(by_user),
        )

    def _add_to_arm(self, line: Searched, clicked: bool) -> None:
        arm = self._arms[line.arm]
        arm.pages += 1
        arm.users.add(line.user)
        arm.clicked += clicked
        if clicked:
            arm.conversions += any(click.event == "conversion" for click in self._clicks[line.id].values())
        if line.status:
            arm.statuses[line.status] += 1
            arm.took.append(line.took)
        if line.reason:
            arm.reasons[line.reason] += 1

    def _add_to_user(self, line: Searched, places: Mapping[str, int | None]) -> None:
        user = self._users[line.user].setdefault(line.arm, _UserTally())
        user.pages += 1
        user.clicked += bool(places)
        known = [place for place in places.values() if place is not None]
        if known:
            user.reciprocal += 1 / min(known)
        elif places and not line.base:
            self._unplaced += 1

    def _add_to_duel(self, line: Searched, places: Mapping[str, int | None]) -> None:
        tally = self._duels[line.user, line.query, line.index]
        tally.same = tally.same and line.base == line.reranked
        teams = dict(zip(line.shown, line.team, strict=True))
        for document in places.keys() & teams.keys():
            tally.clicked[teams[document]].add(document)

    def _duel(self) -> Duel:
        told = [tally.clicked for tally in self._duels.values() if not tally.same]
        margins = [len(clicked["reranked"]) - len(clicked["base"]) for clicked in told if any(clicked.values())]
        return duel(
            won=sum(margin > 0 for margin in margins),
            lost=sum(margin < 0 for margin in margins),
            tied=sum(margin == 0 for margin in margins),
            clicks_won=sum(len(clicked["reranked"]) for clicked in told),
            clicks_lost=sum(len(clicked["base"]) for clicked in told),
            same=len(self._duels) - len(told),
        )


def _clicked(line: Searched, clicks: Mapping[str, Clicked]) -> dict[str, int | None]:
    """The documents that were clicked, each with its place on the result list, from 1, where it is known."""
    places = {name: place for place, name in enumerate(line.shown, start=line.start + 1)}
    found: dict[str, int | None] = {}
    for click in clicks.values():
        both = f"{click.index}/{click.document}"
        name = both if both in places else click.document
        found[name] = places.get(name, click.position)
    return found


def _compared(users: Sequence[Mapping[str, _UserTally]], value: Callable[[_UserTally], float]) -> Difference | None:
    """A value of each user by arms, put to the test."""
    by_arm: dict[str, list[float]] = {"base": [], "reranked": []}
    for user in users:
        for arm, tally in user.items():
            by_arm[arm].append(value(tally))
    return difference(by_arm["base"], by_arm["reranked"])


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """By nearest rank."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None
