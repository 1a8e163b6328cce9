"""What a comparison of logs means, in plain sentences that claim no more than the data hold."""

from __future__ import annotations

from collections.abc import Iterator

from es_reasonrank.evaluation.compare import TOP, Comparison
from es_reasonrank.evaluation.preference import LEAST_USERS, LEVEL, LIFT, PREFERENCE, Difference, Duel


def verdict(comparison: Comparison) -> list[str]:
    """The sentences."""
    return list(_sentences(comparison))


def _sentences(comparison: Comparison) -> Iterator[str]:
    if not comparison.pages:
        yield "There is no search in these files."
        return
    yield from _changed(comparison)
    if comparison.interleaving is not None:
        yield _interleaved(comparison.interleaving)
    if comparison.click_through is not None:
        yield _clicked(comparison, comparison.click_through)
    if comparison.interleaving is None and comparison.click_through is None:
        yield (
            "Whether users like the change cannot be told from this: "
            "that takes clicks in mode interleave, or on both arms of mode percentage."
        )


def _changed(comparison: Comparison) -> Iterator[str]:
    searches = sum(changes.searches for changes in comparison.changes.values())
    if searches:
        changed = sum(changes.top_order * changes.searches for changes in comparison.changes.values())
        yield f"Reranking changes the top {TOP} of {changed:.0f} of {searches} searches ({changed / searches:.0%})."
    asked = sum(sum(arm.statuses.values()) for arm in comparison.arms.values())
    failed = sum(arm.statuses.get("failed", 0) for arm in comparison.arms.values())
    if failed:
        yield f"Reranking failed for {failed} of {asked} searches ({failed / asked:.1%}); they stay in the comparison."


def _interleaved(duel: Duel) -> str:
    more = f"about {duel.more} more would show a preference of {PREFERENCE:.0%}, four times in five"
    if duel.share is None or duel.p is None:
        return f"Nothing can be said of a preference: no search has more clicks on one side; {more}."
    won = f"the reranked order won {duel.won} of {duel.decided} decided searches"
    sure = f"{duel.share:.0%}, 95 % interval {duel.low:.0%} to {duel.high:.0%}, {_p(duel.p)}"
    if duel.p < LEVEL:
        winner = "reranked" if duel.won > duel.lost else "base"
        return _early(f"users prefer the {winner} order: {won} ({sure})", duel.more)
    if duel.more:
        return f"Not enough searches to tell a preference: {won} ({sure}); {more}."
    return f"No preference is seen: {won} ({sure})."


def _clicked(comparison: Comparison, rate: Difference) -> str:
    users = f"{rate.reranked_users} users of the reranked order and {rate.base_users} of the base order"
    clicks = sum(comparison.arms[arm].clicked for arm in ("base", "reranked"))
    if not clicks:
        return f"Nothing can be said of clicks: {users} made none that was logged."
    if rate.p is None:
        return f"Not enough users to tell a difference in clicks: {users}; it takes at least {LEAST_USERS} of each."
    rates = f"click-through is {rate.reranked:.1%} with the reranked order and {rate.base:.1%} with base"
    sure = f"95 % interval {rate.low:+.1%} to {rate.high:+.1%}, {_p(rate.p)}; {users}"
    if rate.p < LEVEL:
        more = "more" if rate.difference > 0 else "less"
        return _early(f"users click {more} with the reranked order: {rates} ({sure})", rate.more or 0)
    if rate.more:
        needed = f"about {rate.more} more users of each would show a change by {LIFT:.0%} of base's, four times in five"
        return f"Not enough users to tell a difference in clicks: {rates} ({sure}); {needed}."
    return f"No difference in clicks is seen: {rates} ({sure})."


def _early(found: str, more: int) -> str:
    """A finding from fewer data than one would plan for is true so far: whoever looks often finds one by chance."""
    if not more:
        return f"{found[0].upper()}{found[1:]}."
    return f"So far {found}; wait for about {more} more to be sure: who looks often finds a difference by chance."


def _p(value: float) -> str:
    return f"p = {value:.4f}" if value >= 0.0001 else "p < 0.0001"
