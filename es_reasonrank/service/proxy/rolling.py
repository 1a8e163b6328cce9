"""The roll-out at work: which order a user sees, and a line in the log for each search."""

from __future__ import annotations

from dataclasses import dataclass

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

    def mixed(self, turn: Turn, result: Scored) -> tuple[Scored, Shown]:
        """The order that the user sees. The scores stay with the places: they never increase."""
        base = tuple(range(len(result.order)))
        if sorted(result.order) != list(base):
            return result, Shown(result.order, (None,) * len(result.order))
        seed = seed_of(self._rollout, user=turn.user, search=turn.search)
        seen = shown(turn.arm, base, result.order, seed=seed)
        return Scored(seen.order, result.scores), seen

    def write(
        self,
        turn: Turn,
        plan: Widened,
        keys: list[tuple[str, str]],
        answer: Answer,
        result: Scored,
        seen: Shown,
        took: float,
    ) -> None:
        """The line of a search that the ranker was asked about.

        Args:
            keys: index and id of the window's hits, in the server's order.
            result: the order that was made of them, before it was mixed.
        """
        window = plan.window
        self._journal.write(
            searched(
                self._rollout,
                id=turn.id,
                user=turn.user,
                search=turn.search,
                query=window.asked.query,
                index=window.search.target,
                profile=plan.profile,
                arm=turn.arm,
                base=named(keys[: len(result.order)]),
                shown=seen,
                reranked=result.order,
                offset=window.start,
                size=window.size,
                status=str(answer.status),
                reason=str(answer.reason),
                took=took,
            )
        )

    def write_base(self, turn: Turn, plan: Widened, keys: list[tuple[str, str]]) -> None:
        """The line of a search whose user sees the server's own order.

        Args:
            keys: index and id of the page's hits.
        """
        window = plan.window
        self._journal.write(
            searched(
                self._rollout,
                id=turn.id,
                user=turn.user,
                search=turn.search,
                query=window.asked.query,
                index=window.search.target,
                profile=plan.profile,
                arm=turn.arm,
                base=named(keys),
                start=window.start,
                offset=window.start,
                size=window.size,
            )
        )
