"""Who sees which order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from es_reasonrank.service.rollout import Arm, decide, pseudonym, seed_of, shown, unit_of
from es_reasonrank.service_settings import Rollout

ON = Rollout()
SHADOW = Rollout(mode="shadow", log="rollout.log")
USERS = [f"user-{number}" for number in range(10_000)]


def share(percentage: float, salt: str = "") -> Rollout:
    return Rollout(mode="percentage", percentage=percentage, salt=salt)


def drawn(rollout: Rollout) -> set[str]:
    return {user for user in USERS if decide(rollout, user=user, search="") is Arm.RERANKED}


@pytest.mark.parametrize(
    ("mode", "arm"),
    [
        ("on", Arm.RERANKED),
        ("shadow", Arm.SHADOW),
        ("percentage", Arm.RERANKED),
        ("interleave", Arm.INTERLEAVED),
    ],
)
def test_every_mode_has_its_arm(mode: str, arm: Arm) -> None:
    rollout = Rollout.model_validate({"mode": mode, "log": "rollout.log"})
    assert decide(rollout, user="u", search="s") is arm


@given(st.text(), st.text(), st.sampled_from(["shadow", "percentage", "interleave"]))
def test_nobody_and_everybody_are_exact(user: str, search: str, mode: str) -> None:
    nobody = Rollout.model_validate({"mode": mode, "log": "rollout.log", "percentage": 0})
    everybody = nobody.model_copy(update={"percentage": 100.0})
    assert decide(nobody, user=user, search=search) is Arm.BASE
    assert decide(everybody, user=user, search=search) is not Arm.BASE


@pytest.mark.parametrize("percentage", [1, 20, 50, 99.5])
def test_the_share_is_what_was_asked_for(percentage: float) -> None:
    found = stats.binomtest(len(drawn(share(percentage))), len(USERS), percentage / 100)
    assert found.pvalue > 1e-4


def test_who_is_in_stays_in_when_the_share_grows() -> None:
    assert drawn(share(5)) < drawn(share(20)) < drawn(share(70))


def test_another_salt_draws_others() -> None:
    both = len(drawn(share(50)) & drawn(share(50, salt="spring")))
    assert stats.binomtest(both, len(USERS), 0.25).pvalue > 1e-4


@given(st.text(min_size=1), st.text(), st.text())
def test_a_user_sees_one_arm_for_every_search(user: str, one: str, other: str) -> None:
    assert decide(share(50), user=user, search=one) is decide(share(50), user=user, search=other)


def test_the_same_everywhere() -> None:
    """The draw must not change between machines and releases: a user must not fall out of an arm."""
    # printf 'percentage\0\0user:user-0' | sha256sum: 79...; then fd, cc, b5, 4a and 3b. Below 80 is in.
    assert [number for number in range(6) if USERS[number] in drawn(share(50))] == [0, 4, 5]


def test_without_a_user_the_search_is_drawn() -> None:
    arms = {decide(share(50), user="", search=f"search {number}") for number in range(50)}
    assert arms == {Arm.BASE, Arm.RERANKED}
    assert unit_of(user="", search="x") != unit_of(user="x", search="")


def test_what_is_shown() -> None:
    base, reranked = range(4), (3, 2, 1, 0)
    assert shown(Arm.RERANKED, base, reranked, seed="").order == (3, 2, 1, 0)
    for arm in (Arm.BASE, Arm.SHADOW):
        assert shown(arm, base, reranked, seed="").order == (0, 1, 2, 3)
    for arm in (Arm.BASE, Arm.SHADOW, Arm.RERANKED):
        assert shown(arm, base, reranked, seed="").team == (None,) * 4
    mixed = shown(Arm.INTERLEAVED, base, reranked, seed="")
    assert sorted(mixed.order) == [0, 1, 2, 3]
    assert set(mixed.team) == {"base", "reranked"}


def test_which_arms_ask_the_model_and_wait_for_it() -> None:
    assert [arm for arm in Arm if arm.ranks] == [Arm.RERANKED, Arm.SHADOW, Arm.INTERLEAVED]
    assert [arm for arm in Arm if arm.waits] == [Arm.RERANKED, Arm.INTERLEAVED]


def test_a_mixture_is_a_users_own() -> None:
    seeds = {seed_of(ON, user=user, search=search) for user in ("a", "b", "") for search in ("s", "t")}
    assert len(seeds) == 6


def test_a_pseudonym_hides_the_user_and_is_stable() -> None:
    unit = unit_of(user="ann@example.com", search="")
    name = pseudonym(ON, unit)
    assert name == pseudonym(ON, unit)
    assert name != pseudonym(ON.model_copy(update={"salt": "x"}), unit)
    assert name != pseudonym(ON, unit_of(user="bob@example.com", search=""))
    assert "ann" not in name
    assert len(name) == 16


@pytest.mark.parametrize("mode", ["shadow", "interleave"])
def test_a_mode_that_is_of_no_use_without_a_log(mode: str) -> None:
    with pytest.raises(ValidationError, match="of use only with a log"):
        Rollout.model_validate({"mode": mode})


def test_a_shadow_of_some_users_only() -> None:
    few = SHADOW.model_copy(update={"percentage": 20.0})
    arms = [decide(few, user=user, search="") for user in USERS]
    assert stats.binomtest(arms.count(Arm.SHADOW), len(USERS), 0.2).pvalue > 1e-4
    assert set(arms) == {Arm.SHADOW, Arm.BASE}
