"""Replies in, orders out: what names an order, what does not, and that a permutation comes out whatever goes in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from es_reasonrank.engines.base import Completion, Finish
from es_reasonrank.rerank.parse import AnswerForm, parse, shown_in
from es_reasonrank.types import Outcome, Verdict

SHARED = Path(__file__).parents[3] / "shared" / "data"

FOUR = AnswerForm(("1", "2", "3", "4"))
LETTERS = AnswerForm(("A", "B", "C", "D"), r"\[[A-Z]\]( > \[[A-Z]\])*", r"\[([A-Z])\]")
LRL = AnswerForm(("1", "2", "3", "4"), r"\[PASSAGE\d+(, PASSAGE\d+)*\]", r"PASSAGE(\d+)")


def form(size: int) -> AnswerForm:
    return AnswerForm(tuple(str(number) for number in range(1, size + 1)))


def direct(text: str, shape: AnswerForm = FOUR, finish: Finish = Finish.STOP) -> Verdict:
    return parse(Completion(text, finish, generated_tokens=1), shape, thinking=False)


def think(text: str, finish: Finish = Finish.STOP, reasoning: str = "") -> Verdict:
    return parse(Completion(text, finish, reasoning=reasoning, generated_tokens=1), FOUR, thinking=True)


@pytest.mark.parametrize(
    ("text", "order", "outcome"),
    [
        ("[2] > [1] > [4] > [3]", (1, 0, 3, 2), Outcome.OK),
        ("  [2] > [1] > [4] > [3]\n", (1, 0, 3, 2), Outcome.OK),
        ("[4] > [1]", (3, 0, 1, 2), Outcome.REPAIRED),
        ("[4] > [4] > [1] > [2] > [3]", (3, 0, 1, 2), Outcome.REPAIRED),
        ("[4] > [9] > [1] > [2] > [3]", (3, 0, 1, 2), Outcome.REPAIRED),
        ("[0] > [4] > [1] > [2] > [3]", (3, 0, 1, 2), Outcome.REPAIRED),
        ("[4]>[1]>[2]>[3]", (3, 0, 1, 2), Outcome.REPAIRED),
        ("4 > 1 > 2 > 3", (3, 0, 1, 2), Outcome.REPAIRED),
        ("4, 1, 2, 3", (3, 0, 1, 2), Outcome.REPAIRED),
        ("[4, 1, 2, 3]", (3, 0, 1, 2), Outcome.REPAIRED),
        ("[4], [1], [2], [3].", (3, 0, 1, 2), Outcome.REPAIRED),
        ("[4]\n\n[1]\n[2]\n[3]", (3, 0, 1, 2), Outcome.REPAIRED),
        ("1. [4]\n2. [1]\n3. [2]\n4. [3]", (3, 0, 1, 2), Outcome.REPAIRED),
        ("1. [4] > [1] > [2] > [3]", (3, 0, 1, 2), Outcome.REPAIRED),
        ("The order is [4] > [1] > [2] > [3].", (3, 0, 1, 2), Outcome.REPAIRED),
        ("<answer>[4] > [1] > [2] > [3]</answer>", (3, 0, 1, 2), Outcome.REPAIRED),
        ("[04] > [1] > [2] > [3]", (3, 0, 1, 2), Outcome.OK),
        ("[４] > [1] > [2] > [3]", (3, 0, 1, 2), Outcome.OK),
        ("[3]", (2, 0, 1, 3), Outcome.REPAIRED),
    ],
)
def test_a_direct_reply_that_names_an_order(text: str, order: tuple[int, ...], outcome: Outcome) -> None:
    verdict = direct(text)
    assert (verdict.order, verdict.outcome) == (order, outcome)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("", Outcome.EMPTY),
        (" \n ", Outcome.EMPTY),
        ("4 passages are provided.", Outcome.MALFORMED),
        ("4 passages are provided, so the ranking should be from 1 to 4.", Outcome.MALFORMED),
        ("In 2019, passages [3] and [1] were about tax.", Outcome.MALFORMED),
        ("[3] is best because [1] and [2] are old.", Outcome.MALFORMED),
        ("Error code: 429 - {... Limit 3, Used 3, Requested 1. Try again in 20s.}", Outcome.MALFORMED),
        ("[9] > [8] > [7]", Outcome.MALFORMED),
        ("4", Outcome.MALFORMED),
        ("[1] · just now. Report Abuse.\n[2] · just now. Report Abuse.", Outcome.MALFORMED),
        ("I'm sorry, but I cannot rank these.", Outcome.REFUSED),
        ("I can’t help with that.", Outcome.REFUSED),
        ("I am so sorry, [3] > [1] > [2] > [4] is all I have.", Outcome.REFUSED),
        ("I'm unable to rank these.", Outcome.REFUSED),
        ("<think> [3] > [1] > [2] > [4] seems right", Outcome.MALFORMED),
        ("9" * 6000, Outcome.MALFORMED),
    ],
)
def test_a_reply_without_an_order_promotes_nothing(text: str, outcome: Outcome) -> None:
    verdict = direct(text)
    assert (verdict.order, verdict.outcome) == ((0, 1, 2, 3), outcome)
    assert verdict.detail


def test_an_echo_of_the_instructions_example_is_no_order() -> None:
    text = "The output format should be [] > [], e.g., [4] > [2], and nothing else."
    assert direct(text, form(20)).outcome is Outcome.MALFORMED


def shown(size: int, *examples: str) -> AnswerForm:
    """The form of a window whose prompt shows these answers, "3 1" being [3] > [1]."""
    return replace(form(size), examples=frozenset(tuple(example.split()) for example in examples))


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("[2] > [1]", shown(4, "2 1")),
        ("[2]>[1].", shown(4, "2 1")),
        ("[02] > [1]", shown(4, "2 1")),
        ("[4] > [2]", shown(3, "4 2")),
        ("[3]", shown(4, "3")),
        ("[3] > [1] > [2]", shown(2, "3 1 2")),
        ("[3] > [1] > [2]", shown(5, "2 1", "3 1 2")),
        ("3 > 1 > 2", shown(5, "3 1 2")),
        ("- [2]\n- [1]", shown(4, "2 1")),
        ("As in [3] > [1] > [2] > [4], you said.", shown(4, "3 1 2 4")),
        ("As in [3] > [1] > [2] > [4]: [1] > [2] > [3] > [4]", shown(4, "3 1 2 4")),
    ],
)
@pytest.mark.parametrize("thinking", [False, True])
def test_an_echo_of_the_prompts_own_example_is_no_order(text: str, shape: AnswerForm, thinking: bool) -> None:
    size = len(shape.identifiers)
    for reply in (text, f"<think>why</think><answer>{text}</answer>"):
        verdict = parse(Completion(reply, Finish.STOP), shape, thinking=thinking)
        assert (verdict.outcome, verdict.order) == (Outcome.MALFORMED, tuple(range(size)))


@pytest.mark.parametrize(
    ("text", "shape", "order", "outcome"),
    [
        ("[2] > [3]", shown(4, "2 1"), (1, 2, 0, 3), Outcome.REPAIRED),
        ("[2] > [1] > [3]", shown(4, "2 1"), (1, 0, 2, 3), Outcome.REPAIRED),
        ("[2] > [1] > [4] > [3]", shown(4, "2 1"), (1, 0, 3, 2), Outcome.OK),
        ("[2] > [1]", shown(2, "2 1"), (1, 0), Outcome.OK),
        ("[2]>[1]", shown(2, "2 1"), (1, 0), Outcome.REPAIRED),
        ("[3] > [1] > [2] > [4]", shown(4, "3 1 2 4"), (2, 0, 1, 3), Outcome.OK),
    ],
)
def test_an_answer_that_an_example_begins_or_that_names_the_whole_window_counts(
    text: str, shape: AnswerForm, order: tuple[int, ...], outcome: Outcome
) -> None:
    """In a window of two, the example's order is one of two that there are."""
    verdict = direct(text, shape)
    assert (verdict.order, verdict.outcome) == (order, outcome)


def test_an_echo_that_was_cut_is_truncated() -> None:
    assert direct("[2] > [1]", shown(4, "2 1"), Finish.LENGTH).outcome is Outcome.TRUNCATED


@pytest.mark.parametrize(
    ("prompt", "identifier", "examples"),
    [
        ("Write [] > [], as in [4] > [2].", r"\[(\d+)\]", {("4", "2")}),
        ("[4]>[2], or [1], [3] and [02]", r"\[(\d+)\]", {("4", "2", ), ("1", "3"), ("2",)}),
        ("Say PASSAGE3, PASSAGE1, or so.", r"PASSAGE(\d+)", {("3", "1")}),
        ("[B] > [A]", r"\[(?P<letter>[A-Z])\]", {("b", "a")}),
        ("[1]\0[2] has a gap; 20 passages", r"\[(\d+)\]", {("1",), ("2",)}),
        ("nothing", r"\[(\d+)\]", set()),
    ],
)  # fmt: skip
def test_examples_that_a_prompt_shows(prompt: str, identifier: str, examples: set[tuple[str, ...]]) -> None:
    assert shown_in(prompt, identifier) == examples


def test_a_long_chain_inside_other_text_counts() -> None:
    chain = " > ".join(f"[{number}]" for number in range(20, 0, -1))
    verdict = direct(f"1. {chain} is my answer", form(20))
    assert verdict.order == tuple(range(19, -1, -1))
    assert verdict.outcome is Outcome.REPAIRED


@pytest.mark.parametrize(
    ("text", "order", "outcome", "reasoning"),
    [
        ("<think>why</think> <answer>[2] > [1] > [4] > [3]</answer>", (1, 0, 3, 2), Outcome.OK, "why"),
        ("<think>why</think>\n<answer> [2] > [1] > [4] > [3] ", (1, 0, 3, 2), Outcome.OK, "why"),
        ("why</think><answer>[2] > [1] > [4] > [3]</answer>", (1, 0, 3, 2), Outcome.OK, "why"),
        ("<think>not <answer>[4] > [3] > [2] > [1]</answer></think><answer>[2] > [1] > [4] > [3]</answer>",
         (1, 0, 3, 2), Outcome.OK, "not <answer>[4] > [3] > [2] > [1]</answer>"),
        ("<think>why</think> [2] > [1] > [4] > [3]", (1, 0, 3, 2), Outcome.REPAIRED, "why"),
        ("why <answer>[2] > [1] > [4] > [3]</answer>", (1, 0, 3, 2), Outcome.OK, "why"),
        ("<think>a</think><answer>[4]</answer> or <answer>[2] > [1] > [4] > [3]</answer>",
         (1, 0, 3, 2), Outcome.OK, "a"),
    ],
)  # fmt: skip
def test_a_thinking_reply_that_names_an_order(
    text: str, order: tuple[int, ...], outcome: Outcome, reasoning: str
) -> None:
    verdict = think(text)
    assert (verdict.order, verdict.outcome, verdict.reasoning) == (order, outcome, reasoning)


@pytest.mark.parametrize(
    ("text", "finish", "outcome"),
    [
        ("<think> passage [3] seems good but [2] and in 2019 the", Finish.LENGTH, Outcome.TRUNCATED),
        ("<think> passage [3] seems good. <answer>[3] > [1] > [2] > [4]</answer>", Finish.STOP, Outcome.MALFORMED),
        ("<think>a</think><answer>[3] > [1] > [2", Finish.LENGTH, Outcome.TRUNCATED),
        ("<think>a</think> so [3] > [1] > [2] > [4]", Finish.LENGTH, Outcome.TRUNCATED),
        ("<think>a</think>", Finish.STOP, Outcome.EMPTY),
        ("<think>a</think>", Finish.LENGTH, Outcome.TRUNCATED),
        ("<think>a</think><answer></answer>", Finish.STOP, Outcome.MALFORMED),
        ("reasoning without any tag that is cut", Finish.LENGTH, Outcome.TRUNCATED),
    ],
)
def test_an_unfinished_thinking_reply_promotes_nothing(text: str, finish: Finish, outcome: Outcome) -> None:
    verdict = think(text, finish)
    assert (verdict.order, verdict.outcome) == ((0, 1, 2, 3), outcome)


def test_a_server_may_separate_the_reasoning() -> None:
    verdict = think("<answer>[2] > [1] > [4] > [3]</answer>", reasoning="why")
    assert (verdict.order, verdict.outcome, verdict.reasoning) == ((1, 0, 3, 2), Outcome.OK, "why")


def test_a_null_answer_after_reasoning_is_truncated() -> None:
    """vLLM gives null content when the chain was cut."""
    assert think("", Finish.LENGTH, reasoning="thinking about [3]").outcome is Outcome.TRUNCATED


def test_a_refusal_that_the_server_reports() -> None:
    assert direct("[2] > [1] > [3] > [4]", finish=Finish.REFUSED).outcome is Outcome.REFUSED


def test_a_direct_answer_cut_before_its_end_promotes_nothing() -> None:
    verdict = direct("[4] > [1]", finish=Finish.LENGTH)
    assert (verdict.order, verdict.outcome) == ((0, 1, 2, 3), Outcome.TRUNCATED)


def test_a_direct_answer_that_is_complete_at_the_limit_counts() -> None:
    assert direct("[4] > [1] > [2] > [3]", finish=Finish.LENGTH).outcome is Outcome.OK


def test_letters() -> None:
    assert direct("[B] > [A] > [D] > [C]", LETTERS).order == (1, 0, 3, 2)
    assert direct("B > A > D > C", LETTERS).order == (1, 0, 3, 2)
    assert direct("I think that A is best", LETTERS).outcome is Outcome.MALFORMED


def test_a_form_of_its_own() -> None:
    verdict = direct("[PASSAGE2, PASSAGE1, PASSAGE4, PASSAGE3]", LRL)
    assert (verdict.order, verdict.outcome) == ((1, 0, 3, 2), Outcome.OK)


def test_a_window_of_one() -> None:
    assert direct("[1]", form(1)).outcome is Outcome.OK


def test_newlines_without_end_are_parsed_in_time() -> None:
    assert direct("1" + "\n" * 200_000 + "x").outcome is Outcome.MALFORMED


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("[4]>[1]", (3, 0, 1, 2)),
        ("[4] > [1].", (3, 0, 1, 2)),
        ("4 > 1 > 2", (3, 0, 1, 2)),
        ("- 4\n- 1\n- 2\n- 3", (3, 0, 1, 2)),
        ("1) [4]\n2) [1]\n3) [2]\n4) [3]", (3, 0, 1, 2)),
        ("[[4], [1], [2], [3]]", (3, 0, 1, 2)),
        ("[4] = [1] > [2] = [3]", (3, 0, 1, 2)),
        ("４ > 1 > २ > ٣", (3, 0, 1, 2)),
        ("[4] ≻ [1] ≻ [2] ≻ [3]", (3, 0, 1, 2)),
        ("The best are [4] > [1] > [2], in full: [4] > [1] > [2] > [3].", (3, 0, 1, 2)),
        ("[4] > [1] > [2] > [3]</s>", (3, 0, 1, 2)),
        ("[3] > [9]", (2, 0, 1, 3)),
        ("[4] > [4] > [4]", (3, 0, 1, 2)),
        ("[THINK]why[/THINK] The order: [4] > [1] > [2] > [3]", (3, 0, 1, 2)),
        ("<reasoning>[1] > [2] > [3] > [4]?</reasoning> So: [4] > [1] > [2] > [3]", (3, 0, 1, 2)),
    ],
)
def test_another_form_counts_where_it_can_be_nothing_else(text: str, order: tuple[int, ...]) -> None:
    verdict = direct(text)
    assert (verdict.order, verdict.outcome) == (order, Outcome.REPAIRED)


@pytest.mark.parametrize(
    "text",
    [
        # messages of failures
        "Rate limit: retry after 3 seconds, 2 of 1 requests left",
        "Error 4: 3 > 1, 2 retries",
        "503\n4\n1",
        "<html><head><title>502</title></head><body>[3] > [1] bad gateway, 2 > 4</body></html>",
        '{"error": {"code": 4, "ids": [3, 1, 2, 4]}}',
        # grades, and lists that could be grades
        "3, 1",
        "3 > 1",
        "[3, 1, 2]",
        "3, 3, 0, 1",
        "0, 3, 2, 1",
        "1: 3\n2: 1\n3: 4\n4: 2",
        "1. 3\n2. 1\n3. 4\n4. 2",
        "[1] 3\n[2] 1\n[3] 4\n[4] 2",
        # who counts from 0, or numbers by another window
        "[0] > [3] > [1] > [2]",
        "[3] > [0] > [1]",
        "[31] > [12] > [3]",
        "[21] > [22] > [23] > [24] > [3] > [1]",
        # no order, or several
        "[4] = [3] = [2] = [1]",
        "4 = 3 = 2 = 1",
        "[4] < [3] < [2] < [1]",
        "[1] > [2] > [3] > [4] at first, but then [4] > [3] > [2] > [1]",
        "[4] > [1] > [2] > [3]\n\nUser: another query\nAssistant: [1] > [3] > [2] > [4]",
        "<answer>[4] > [1] > [2] > [3]</answer> or <answer>[1] > [2] > [3] > [4]</answer>",
        "<answer>[4] > [1] > [2] > [3]</answer> or <answer>[3]</answer>",
        "<answer>[4] > [1] > [2] > [3]</answer>, as you asked, between <answer> and </answer>",
        # echoes
        "The form is [] > [], as in [2] > [1].",
        "2 > 1 > 3 is false",
        "[1-4]",
        "(4) > (3) > (2) > (1)",
        "［4］ ＞ ［3］ ＞ ［2］ ＞ ［1］",
        "[³] > [²] > [¹]",
        # unfinished reasoning, however it is opened
        "Sure. <think> it could be [3] > [1] > [2] > [4]",
        "<think>a</think> wait <think> [3] > [1] > [2] > [4]",
        "<think>a</think><answer>[3] > [1] > [2] > [4]</answer><think>or not",
        '<Think mode="deep"> [3] > [1] > [2] > [4]',
        "<thinking> [3] > [1] > [2] > [4] </think>",
        "<think> [3] > [1] > [2] > [4] </thinking>",
        "<think> [3] > [1] > [2] > [4] </ think>",
        "<reasoning> [3] > [1] > [2] > [4]",
        "[THINK] [3] > [1] > [2] > [4]",
        "◁think▷ [3] > [1] > [2] > [4]",
    ],
)
@pytest.mark.parametrize("thinking", [False, True])
def test_what_can_be_something_else_promotes_nothing(text: str, thinking: bool) -> None:
    for finish in (Finish.STOP, Finish.LENGTH):
        verdict = parse(Completion(text, finish, generated_tokens=9), FOUR, thinking=thinking)
        assert verdict.order == (0, 1, 2, 3)
        assert verdict.outcome is (Outcome.MALFORMED if finish is Finish.STOP else Outcome.TRUNCATED)


def test_a_window_of_two_takes_no_order_from_prose() -> None:
    """Its whole order looks like the example that instructions give."""
    assert direct("The form is [2] > [1].", form(2)).outcome is Outcome.MALFORMED
    assert direct("[2] > [1]", form(2)).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("text", "reasoning", "outcome"),
    [
        ("It could be [4] > [1] > [2] > [3] in the end", "", Outcome.MALFORMED),
        ("It could be [4] > [1] > [2] > [3] in the end", "why", Outcome.REPAIRED),
        ("<think></think> It is [4] > [1] > [2] > [3] in the end", "", Outcome.REPAIRED),
        ("It could be <answer>[4] > [1] > [2] > [3]</answer>", "", Outcome.OK),
        ("[4] > [1] > [2] > [3], for these reasons", "", Outcome.REPAIRED),
    ],
)
def test_where_reasoning_is_asked_for_and_no_tag_ends_it_a_chain_can_be_a_draft(
    text: str, reasoning: str, outcome: Outcome
) -> None:
    """A chat template may have opened it."""
    verdict = think(text, reasoning=reasoning)
    assert verdict.outcome is outcome
    assert verdict.order == ((3, 0, 1, 2) if outcome.ranks else (0, 1, 2, 3))


def test_a_draft_in_a_reply_that_was_cut_is_no_order() -> None:
    draft = "I begin with [4] > [1] > [2] > [3], but passage"
    assert direct(draft, finish=Finish.LENGTH).outcome is Outcome.TRUNCATED
    assert direct(draft.removeprefix("I begin with "), finish=Finish.LENGTH).order == (3, 0, 1, 2)


@pytest.mark.parametrize(
    ("text", "finish", "outcome"),
    [
        ("<answer><answer>[2] > [1] > [4] > [3]</answer></answer>", Finish.STOP, Outcome.OK),
        ("<answer>old <answer>[2] > [1] > [4] > [3]</answer>", Finish.STOP, Outcome.OK),
        ("<answer>[2] > [1] > [4] > [3]</answer><answer>[2] > [1] > [4] > [3]", Finish.STOP, Outcome.OK),
        ("<answer>[2] > [1] > [4] > [3]</answer><answer>[2] > [1]", Finish.LENGTH, Outcome.TRUNCATED),
        ("<answer>[2] > [1] > [4] > [3]</answer> That is all", Finish.LENGTH, Outcome.OK),
        ("<think>a <think>b</think> <answer>[2] > [1] > [4] > [3]</answer>", Finish.STOP, Outcome.OK),
        ("<THINK >a</THINK> <Answer>[2] > [1] > [4] > [3]</ANSWER>", Finish.STOP, Outcome.OK),
        ("<answer>The order is [2] > [1] > [4] > [3]</answer>", Finish.STOP, Outcome.REPAIRED),
        ("<think>< /think>< answer>(4)</think><answer>[2] > [1] > [4] > [3]</answer>", Finish.STOP, Outcome.OK),
        ("<think>a</think><answer>2</answer>", Finish.STOP, Outcome.MALFORMED),
        ("<think>a</think><answer>[2] > [1] > [4] > [3]</answer></think>", Finish.STOP, Outcome.EMPTY),
    ],
)
def test_tags_in_disorder(text: str, finish: Finish, outcome: Outcome) -> None:
    verdict = think(text, finish)
    assert verdict.outcome is outcome
    assert verdict.order == ((1, 0, 3, 2) if outcome.ranks else (0, 1, 2, 3))


def test_letters_in_other_forms() -> None:
    assert direct("1. B\n2. A\n3. D\n4. C", LETTERS).order == (1, 0, 3, 2)
    assert direct("b > a > d > c", LETTERS).order == (1, 0, 3, 2)
    for text in ("A", "A > B", "I, A", "A b c d", "[E] > [F] > [B]"):
        assert direct(text, LETTERS).outcome is Outcome.MALFORMED


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs the recorded reasoning traces under {SHARED}")
def test_recorded_reasoning_traces_give_permutations() -> None:
    """Another ranker's replies: graded lists after long chains, in a form that we do not ask for."""
    for name in ("train", "valid"):
        path = SHARED / "tfrank_listwise_reasoning" / f"listwise_think_{name}.jsonl"
        for line in path.read_text(encoding="utf-8").splitlines():
            text = json.loads(line)["messages"][-1]["content"]
            for end in (len(text), len(text) // 2):
                finish = Finish.STOP if end == len(text) else Finish.LENGTH
                verdict = parse(Completion(text[:end], finish, generated_tokens=1), form(20), thinking=True)
                assert sorted(verdict.order) == list(range(20))
                if finish is Finish.LENGTH:
                    assert not verdict.outcome.ranks
