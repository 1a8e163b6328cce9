"""What holds for every reward, and how they are found."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from es_reasonrank.errors import InputError, SettingsError
from tests.trainer.rewards import asked
from tests.trainer.rewards.asked import READERS
from trainer.rewards import REWARDS, load_reward
from trainer.rewards.base import Gold, WindowReward
from trainer.rewards.reading import Reader

ONE_PASSAGE = {"erank", "tfrank"}


def value(name: str, text: str, gold: Gold, *, cut: bool = False) -> float:
    reward = load_reward(name, {}, READERS[name])
    if isinstance(reward, WindowReward):
        return reward.score(text, gold, cut=cut).value
    others = [asked.thought("9"), asked.thought("1")]
    return reward.score_all([text, *others], [gold, Gold((1,)), Gold((0,))], cuts=[cut, False, False])[0].value


def reply(name: str, places: list[int], highest: int) -> str:
    """A well-formed reply that prefers the passages in this order."""
    if READERS[name] is asked.LISTWISE:
        return asked.order(places)
    if READERS[name] in (asked.SETWISE, asked.WORST):
        return asked.choice(places[0])
    grades = {place: highest - min(rank, highest) for rank, place in enumerate(places)}
    if READERS[name] is asked.GROUPWISE:
        return asked.grades([grades[place] for place in range(len(places))])
    return asked.thought(str(grades[0]))


@st.composite
def windows(draw: st.DrawFn, name: str) -> tuple[Gold, list[int]]:
    size = draw(st.integers(2, 6))
    grades = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    order = tuple(sorted(range(size), key=lambda place: -grades[place]))
    gold = Gold((grades[0],)) if name in ONE_PASSAGE else Gold(tuple(grades), order)
    return gold, draw(st.permutations(range(size)))


@pytest.mark.parametrize("name", REWARDS)
def test_a_truncated_chain_never_beats_a_well_formed_answer(name: str) -> None:
    @settings(deadline=None)
    @given(windows(name), st.data())
    def beats(window: tuple[Gold, list[int]], data: st.DataObject) -> None:
        gold, places = window
        other = data.draw(st.permutations(places))
        whole = reply(name, other, 4)
        begun = whole[: data.draw(st.integers(0, len(whole) - 1))]
        assert value(name, begun, gold, cut=True) <= value(name, reply(name, places, 4), gold) + 1e-12

    beats()


@pytest.mark.parametrize("name", ["reasonrank", "rank_r1", "iranker", "rarl"])
def test_it_does_not_matter_what_passages_are_called(name: str) -> None:
    """Rearank's and TFRank's gain is over the order shown, so there it does."""

    @settings(deadline=None)
    @given(windows(name), st.data())
    def same(window: tuple[Gold, list[int]], data: st.DataObject) -> None:
        gold, places = window
        called = data.draw(st.permutations(range(len(places))))  # passage `place` is shown at called[place]
        shown = sorted(range(len(places)), key=lambda place: called[place])
        renamed = Gold(tuple(gold.grades[place] for place in shown), tuple(called[place] for place in gold.order))
        first = value(name, reply(name, places, 4), gold)
        assert value(name, reply(name, [called[place] for place in places], 4), renamed) == pytest.approx(first)

    same()


@pytest.mark.parametrize("name", REWARDS)
def test_every_reward_calls_itself_by_its_name(name: str) -> None:
    assert load_reward(name, {}, READERS[name]).name == name


def test_an_unknown_reward_is_hinted_at() -> None:
    with pytest.raises(SettingsError, match=r"unknown reward 'reasonrnk' \(did you mean 'reasonrank'"):
        load_reward("reasonrnk", {}, asked.LISTWISE)


def test_an_unknown_option_is_hinted_at() -> None:
    with pytest.raises(SettingsError, match=r"reward reasonrank: unknown key 'recal' \(did you mean 'recall'"):
        load_reward("reasonrank", {"recal": 0.2}, asked.LISTWISE)


def test_a_reward_for_another_question_is_refused() -> None:
    with pytest.raises(SettingsError, match="reward 'rank_r1' reads replies to a template of method setwise, not"):
        load_reward("rank_r1", {}, asked.LISTWISE)


@pytest.mark.parametrize(("name", "reader"), [("rank_r1", asked.WORST), ("iranker", asked.SETWISE)])
def test_a_reward_for_the_other_end_of_a_window_is_refused(name: str, reader: Reader) -> None:
    with pytest.raises(SettingsError, match=rf"reward '{name}' wants the \w+ passage named, and judge\.select is"):
        load_reward(name, {}, reader)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"grades": ()}, "needs a grade"),
        ({"grades": (1, -1)}, "needs a grade of 0 or more"),
        ({"grades": (0, 1), "order": (1, 1)}, "no permutation of 2 passages"),
        ({"grades": (0, 1), "order": (1,)}, "no permutation of 2 passages"),
        ({"grades": (0, 1), "scores": (1.0,)}, "1 scores do not fit 2 passages"),
    ],
)
def test_a_window_fits_together(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Gold(**parts)


def test_they_bring_nothing_heavy() -> None:
    modules = [f"trainer.rewards.{place.partition(':')[0]}" for place in REWARDS.values()]
    heavy = ["torch", "transformers", "trl", "numpy", "scipy", "ir_measures"]
    code = f"import sys, json, trainer.mutation, trainer.rewards.trl_reward, {', '.join(modules)}\n" + (
        f"sys.stdout.write(json.dumps([name for name in {heavy} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
