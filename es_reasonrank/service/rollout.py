"""Safe roll-out: who sees which order. All of it is pure: the same settings, user and search give the same answer.

`decide` needs no ranking: it can be asked before the model is. Only where `arm.ranks` is true has the model to be
asked, and only where `arm.waits` is true has the user to wait for it:

    arm          answered with         the model is asked     mode of `rollout`
    reranked     reranked order        while the user waits   on, percentage
    base         base order            no                     all but on: users outside of the percentage
    shadow       base order            after the answer       shadow
    interleaved  both orders, mixed    while the user waits   interleave
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from es_reasonrank.evaluation.rollout_log import Team
from es_reasonrank.service.interleaving import team_draft
from es_reasonrank.service_settings import Rollout


class Arm(StrEnum):
    """What a user sees."""

    RERANKED = "reranked"
    """The ranker's order."""
    BASE = "base"
    """The first stage's order; the model is not asked."""
    SHADOW = "shadow"
    """The first stage's order; the model is asked behind the user's back, for the log."""
    INTERLEAVED = "interleaved"
    """Both orders, mixed."""

    @property
    def ranks(self) -> bool:
        """Whether the model is asked at all."""
        return self is not Arm.BASE

    @property
    def waits(self) -> bool:
        """Whether the answer depends on the model."""
        return self in (Arm.RERANKED, Arm.INTERLEAVED)


@dataclass(frozen=True, slots=True)
class Shown:
    """The order that a user sees."""

    order: tuple[int, ...]
    """A permutation of what was ranked, best first."""
    team: tuple[Team | None, ...]
    """For each place who put it there; None everywhere but in an interleaved order."""


_ARMS = {
    "on": Arm.RERANKED,
    "shadow": Arm.SHADOW,
    "percentage": Arm.RERANKED,
    "interleave": Arm.INTERLEAVED,
}


def decide(rollout: Rollout, *, user: str, search: str) -> Arm:
    """The arm of a user: the same one for every search of his, on every worker, until mode or salt are changed.

    A hash of salt and user is a point between 0 and 100, evenly distributed; users below `percentage` are in. So 0
    is nobody, 100 is everybody, and a user who is in stays in when the percentage grows.

    Args:
        user: what tells users apart; where it is empty, the search is drawn instead.
        search: what is searched for.
    """
    arm = _ARMS[rollout.mode]
    if rollout.mode == "on" or _is_in(rollout, unit_of(user=user, search=search)):
        return arm
    return Arm.BASE


def shown(arm: Arm, base: Sequence[int], reranked: Sequence[int], *, seed: str) -> Shown:
    """What a user of that arm sees.

    Args:
        base: the first stage's order.
        reranked: the same items in the ranker's order.
        seed: what coins are drawn from; see `seed_of`.
    """
    if arm is Arm.INTERLEAVED:
        return Shown(*team_draft(base, reranked, seed=seed))
    order = tuple(reranked if arm is Arm.RERANKED else base)
    return Shown(order, (None,) * len(order))


def unit_of(*, user: str, search: str) -> str:
    """Who or what is drawn: the user, or the search where nothing tells users apart."""
    return f"user:{user}" if user else f"search:{search}"


def seed_of(rollout: Rollout, *, user: str, search: str) -> str:
    """The seed of a user's search: repeating it, or turning to its next page, shows the same mixture."""
    return "\0".join(("interleaving", rollout.salt, user, search))


def pseudonym(rollout: Rollout, unit: str) -> str:
    """What a log calls a unit: always the same name, and not the user's own."""
    return _hash(rollout, "pseudonym", unit).hexdigest()[:16]


def _is_in(rollout: Rollout, unit: str) -> bool:
    """Whether a unit is below the percentage. Integers keep both ends exact."""
    point = int.from_bytes(_hash(rollout, "percentage", unit).digest()[:8])
    return point * 100 < rollout.percentage * 2**64


def _hash(rollout: Rollout, purpose: str, unit: str) -> hashlib._Hash:
    return hashlib.sha256("\0".join((purpose, rollout.salt, unit)).encode())
