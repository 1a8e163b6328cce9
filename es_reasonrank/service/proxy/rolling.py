"""The roll-out at work: which order a user sees, and a line in the log for each search."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from es_reasonrank.evaluation.rollout_log import named
from es_reasonrank.service.journal import Journal, new_id, searched
from es_reasonrank.service.proxy.reordering import Scored
from es_reasonrank.service.proxy.searching import Widened
from es_reasonrank.service.proxy.upstream import Incoming
from es_reasonrank.service.ranking import Answer
from es_reasonrank.service.rollout import Arm, Shown, decide, seed_of, shown
from es_reasonrank.service_settings import Rollout


@dataclass(frozen=True)
class Turn:
    """One search in the roll-out."""

    id: str
    """What the caller is told, and clicks name."""
    arm: Arm
    user: str
    search: str


@dataclass(frozen=True)
class Made:
    """What the ranker made of a window."""

    answer: Answer
    order: Scored
    """Before it was mixed with the server's."""
    seen: Scored
    """What the user sees."""
    shown: Shown
    """The same, and whose each hit is."""
    took: float
    """Seconds."""


class Rolling:
    """Decides and writes down.

    Args:
        rollout: the settings.
        journal: where the lines go.
    """

    def __init__(self, rollout: Rollout, journal: Journal) -> None:
        self._rollout = rollout
        self._journal = journal

    @property
    def is_logged(self) -> bool:
        """Whether anybody can join clicks to a search."""
        return self._rollout.log is not None

    def turn(self, incoming: Incoming, plan: Widened) -> Turn:
        """What the user of a search sees."""
        wanted = self._rollout.key_header.lower()
        user = next((value for name, value in incoming.headers if name.lower() == wanted), "")
        search = plan.window.asked.query
        return Turn(new_id(), decide(self._rollout, user=user, search=search), user, search)

    def made(self, turn: Turn, answer: Answer, order: Scored, took: float) -> Made:
        """What the ranker made, as the user sees it. The scores stay with the places: they never increase.

        Args:
            order: what the answer comes to in the caller's terms.
            took: seconds.
        """
        base = tuple(range(len(order.order)))
        if sorted(order.order) != list(base):
            return Made(answer, order, order, Shown(order.order, (None,) * len(order.order)), took)
        seed = seed_of(self._rollout, user=turn.user, search=turn.search)
        mixed = shown(turn.arm, base, order.order, seed=seed)
        return Made(answer, order, Scored(mixed.order, order.scores), mixed, took)

    def write(self, turn: Turn, plan: Widened, keys: list[tuple[str, str]], made: Made | None = None) -> None:
        """The line of a search, where lines are kept.

        Args:
            keys: index and id, in the server's order, of the window's hits; of the page's, where the ranker was not
                asked.
        """
        if not self.is_logged:
            return None
        window = plan.window
        line = partial(
            searched,
            self._rollout,
            id=turn.id,
            user=turn.user,
            search=turn.search,
            query=window.asked.query,
            index=window.search.target,
            profile=plan.profile,
            arm=turn.arm,
            offset=window.start,
            size=window.size,
        )
        if made is None:
            return self._journal.write(line(base=named(keys), start=window.start))
        answer, order = made.answer, made.order.order
        return self._journal.write(
            line(
                base=named(keys[: len(order)]),
                shown=made.shown,
                reranked=order,
                status=str(answer.status),
                reason=str(answer.reason),
                took=made.took,
            )
        )
