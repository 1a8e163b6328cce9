"""Roll-outs read as serving reads them, and by their tags."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from es_reasonrank.engines.base import Completion, Finish
from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.judges.first_token import FirstTokenOptions
from es_reasonrank.rerank.judges.listwise import ListwiseOptions
from es_reasonrank.rerank.parse import parse
from es_reasonrank.types import Outcome
from tests.trainer.rewards import asked
from tests.trainer.rewards.asked import DIRECT, GROUPWISE, LISTWISE, POINTWISE, SETWISE
from trainer.rewards.reading import Reader

LETTERS = {
    "method": "singleturn_listwise",
    "prefix": "{query}",
    "body": "[{rank}] {candidate}",
    "output_validation_regex": r"\[[A-Z]\]( > \[[A-Z]\])*",
    "output_extraction_regex": r"\[([A-Z])\]",
}
RIGHT = "<think>a</think> <answer>[2] > [1]</answer>"


@pytest.mark.parametrize(
    ("text", "tagged", "wrong", "whole"),
    [
        (RIGHT, True, 0, True),
        (f"\n{RIGHT}\n", True, 0, True),
        ("<think></think><answer>[2] > [1]</answer>", True, 0, True),
        ("<think>a</think> <answer>[2]>[1]</answer>", True, 0, False),
        ("<think>a</think> <answer>[2]</answer>", True, 0, False),
        ("<think>a</think> <answer>[2] > [2] > [1]</answer>", True, 0, False),
        ("<think>a</think> <answer>none</answer>", True, 0, False),
        ("<think>a</think> <answer></answer>", True, 0, False),
        ("<answer>[2] > [1]</answer>", False, 2, False),
        ("<think>a</think> [2] > [1]", False, 2, False),
        ("<think>a</think> so <answer>[2] > [1]</answer>", False, 0, False),
        (f"{RIGHT} and so on", False, 0, False),
        (f"{RIGHT} {RIGHT}", False, 4, False),
        ("<think>a</think> <answer>[2] > [1]", False, 1, False),
        ("<answer>[2] > [1]</answer> <think>a</think>", False, 0, False),
        ("<THINK>a</THINK> <answer>[2] > [1]</answer>", False, 2, False),
        ("[2] > [1]", False, 4, False),
        ("", False, 4, False),
    ],
)
def test_tags(text: str, tagged: bool, wrong: int, whole: bool) -> None:
    reply = LISTWISE.order(text, 2)
    assert (reply.tagged, reply.wrong_tags, reply.whole) == (tagged, wrong, whole)


@pytest.mark.parametrize(
    ("text", "tagged", "wrong", "whole"),
    [
        ("[2] > [1]", True, 0, True),
        ("[2]", True, 0, False),
        (RIGHT, False, 4, False),
        ("<answer>[2] > [1]", False, 1, False),
        ("", True, 0, False),
    ],
)
def test_a_direct_reply_has_no_tags(text: str, tagged: bool, wrong: int, whole: bool) -> None:
    reply = DIRECT.order(text, 2)
    assert (reply.tagged, reply.wrong_tags, reply.whole) == (tagged, wrong, whole)


def test_what_was_cut_has_wrong_tags() -> None:
    assert not DIRECT.order("[3] > [1", 3, cut=True).tagged
    assert not LISTWISE.order("<think>a</think> <answer>[2] > [1", 2, cut=True).tagged
    assert LISTWISE.order(RIGHT, 2, cut=True).tagged


@settings(deadline=None)
@given(st.text(alphabet="<>/think answer[]123 ", max_size=60), st.booleans())
def test_the_order_is_servings(text: str, cut: bool) -> None:
    served = parse(
        Completion(text, Finish.LENGTH if cut else Finish.STOP, generated_tokens=1), LISTWISE.form(3), thinking=True
    )
    assert LISTWISE.order(text, 3, cut=cut).verdict == served


def test_a_begun_reply_is_read_as_a_whole() -> None:
    begun = Reader.of(ListwiseOptions(prefix="<think>\n"))
    assert begun.order("a</think> <answer>[2] > [1]</answer>", 2).whole
    assert begun.reply([1, 0], "a") == "a\n</think>\n<answer>[2] > [1]</answer>"


def test_a_judge_that_cannot_think_asks_for_a_bare_answer() -> None:
    reader = Reader.of(FirstTokenOptions(template=LETTERS))
    assert reader.order("B] > [A]", 2).whole
    assert reader.reply([1, 0], "") == "B] > [A]"


@pytest.mark.parametrize(("text", "place"), [("[3]", 2), ("[03]", 2)])
def test_a_choice(text: str, place: int) -> None:
    reply = SETWISE.choice(asked.thought(text), 4)
    assert reply.whole
    assert reply.verdict.order[0] == place


@pytest.mark.parametrize(("text", "grade"), [("0", 0.0), (" 7 ", 7.0), ("10", 10.0)])
def test_a_grade(text: str, grade: float) -> None:
    reply = POINTWISE.grade(asked.thought(text))
    assert reply.whole
    assert reply.verdict.scores == (grade,)


@pytest.mark.parametrize("text", ["11", "-1", "7.5", "seven", "7 or 8", "", "７"])
def test_no_grade(text: str) -> None:
    reply = POINTWISE.grade(asked.thought(text))
    assert reply.tagged
    assert reply.verdict.outcome is Outcome.MALFORMED


def test_listed_grades() -> None:
    assert GROUPWISE.grades(asked.grades([3, 9]), 2).verdict.scores == (3, 9)
    assert not GROUPWISE.grades(asked.grades([3]), 2).whole


@settings(deadline=None)
@given(st.permutations(range(7)), st.sampled_from([LISTWISE, DIRECT]))
def test_what_is_written_is_read(order: list[int], reader: Reader) -> None:
    reply = reader.order(reader.reply(order, "for a reason"), 7)
    assert reply.whole
    assert reply.verdict.order == tuple(order)


def test_letters_are_written_where_the_template_takes_them() -> None:
    reader = Reader.of(ListwiseOptions(template=LETTERS, identifiers="letters", thinking=False))
    assert reader.reply([1, 2, 0], "") == "[B] > [C] > [A]"


def test_a_reply_of_another_form_cannot_be_written() -> None:
    listed = {
        "method": "singleturn_listwise",
        "prefix": "{query}",
        "body": "[{rank}] {candidate}",
        "output_validation_regex": r"PASSAGE\d+(, PASSAGE\d+)*",
        "output_extraction_regex": r"PASSAGE(\d+)",
    }
    reader = Reader.of(ListwiseOptions(template=listed, thinking=False))
    with pytest.raises(SettingsError, match=r"no reply can be written that judge\.template would read: .*no order"):
        reader.reply([1, 0], "")


def test_a_chain_with_a_tag_cannot_be_written() -> None:
    with pytest.raises(SettingsError, match="the chain holds a tag"):
        LISTWISE.reply([1, 0], "a </think> b")
