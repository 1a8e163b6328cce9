"""Templates of one passage, of a choice and of grades, and the judges that take them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.judges.first_token import FirstTokenJudge, FirstTokenOptions
from es_reasonrank.rerank.judges.graded import GradedJudge, GradedOptions
from es_reasonrank.rerank.judges.listwise import ListwiseJudge, ListwiseOptions
from es_reasonrank.rerank.judges.relevance import RelevanceJudge, RelevanceOptions
from es_reasonrank.rerank.judges.setwise import SetwiseJudge, SetwiseOptions
from es_reasonrank.rerank.prompts.template import Template, load_template
from tests.unit.fakes import ScriptedEngine

ENGINE = ScriptedEngine(lambda request: "")


def render(template: Template, *passages: str, **words: str) -> list[tuple[str, str]]:
    identifiers = [str(number) for number in range(1, len(passages) + 1)]
    chat = template.render("why", passages, identifiers, [1.5] * len(passages), words)
    return [(message["role"], message["content"]) for message in chat]


def test_a_pointwise_template_in_rank_llms_format() -> None:
    template = load_template(
        {"method": "pointwise", "system_message": "Judge.", "body": "Q: {query}\nD: {doc_content} ({score})"}
    )
    assert render(template, "a {b}") == [("system", "Judge."), ("user", "Q: why\nD: a {b} (1.500)")]


def test_words_of_the_judge() -> None:
    setwise = load_template({"method": "setwise", "body": "[{rank}] {candidate}\n", "suffix": "{select} {query}?"})
    assert setwise.words == {"select"}
    assert render(setwise, "a", "b", select="least") == [("user", "[1] a\n[2] b\nleast why?")]
    graded = load_template({"method": "pointwise", "body": "{query} {candidate} 0 to {highest}"})
    assert graded.words == {"highest"}
    assert render(graded, "a", highest="4") == [("user", "why a 0 to 4")]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"method": "pointwise", "body": "{query}"}, "section 'body' must hold {candidate}"),
        ({"method": "pointwise", "body": "{candidate}"}, "no section holds {query}"),
        ({"method": "pointwise", "body": "{{query}} {candidate}"}, "no section holds {query}"),
        ({"method": "pointwise", "body": "{rank} {query} {candidate}"}, "unknown placeholder {rank}"),
        ({"method": "pointwise", "body": "{query} {candidate}", "suffix": "x"}, "section 'suffix' does not belong"),
        ({"method": "setwise", "body": "{candidate}", "suffix": "{query}"}, "must hold {rank} and {candidate}"),
        ({"method": "setwise", "body": "{rank} {candidate}", "suffix": "{query} {highest}"}, "placeholder {highest}"),
        ({"method": "groupwise", "body": "{rank} {candidate}", "suffix": "{query} {select}"}, "placeholder {select}"),
        ({"method": "singleturn_listwise", "body": "{rank} {candidate}", "suffix": "{query} {select}"}, "{select}"),
    ],
)
def test_a_broken_template_says_what(values: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_template(values)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("name", "method", "words"),
    [
        ("setwise", "setwise", {"select"}),
        ("setwise_think", "setwise", {"select"}),
        ("relevance", "pointwise", set()),
        ("relevance_think", "pointwise", set()),
        ("graded", "pointwise", {"highest"}),
        ("graded_think", "pointwise", {"highest"}),
        ("graded_group", "groupwise", {"highest"}),
        ("graded_group_think", "groupwise", {"highest"}),
    ],
)
def test_ours_show_the_query_and_every_passage(name: str, method: str, words: set[str]) -> None:
    template = load_template(name)
    assert (template.method, template.words) == (method, words)
    passages = ["first passage"] if method == "pointwise" else ["first passage", "second passage"]
    (_, system), (_, text) = render(template, *passages, select="least", highest="7")
    assert "why" in text
    assert ("[1] first passage\n[2] second passage\n" if len(passages) > 1 else "first passage") in text
    assert (("least" in text) or ("7" in text)) is bool(words)
    assert ("<think>" in system) is name.endswith("_think")


Make = Callable[[str | dict[str, Any]], object]


@pytest.mark.parametrize(
    ("make", "template", "sentence"),
    [
        (lambda name: ListwiseJudge(ListwiseOptions(template=name), ENGINE), "setwise", "its method is 'setwise'"),
        (lambda name: FirstTokenJudge(FirstTokenOptions(template=name), ENGINE), "graded", "takes singleturn_listwise"),
        (lambda name: SetwiseJudge(SetwiseOptions(template=name), ENGINE), "listwise", "this judge takes setwise"),
        (lambda name: RelevanceJudge(RelevanceOptions(template=name), ENGINE), "setwise", "this judge takes pointwise"),
        (lambda name: RelevanceJudge(RelevanceOptions(template=name), ENGINE), "graded", "no {highest} to put in"),
        (lambda name: GradedJudge(GradedOptions(template=name), ENGINE), "graded_group", "this judge takes pointwise"),
        (
            lambda name: GradedJudge(GradedOptions(template=name, read="listed"), ENGINE),
            "graded",
            "this judge takes groupwise",
        ),
    ],
)
def test_a_template_of_another_kind_is_found_when_the_judge_is_made(make: Make, template: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make(template)
    assert str(caught.value).startswith("judge.template: ")
    assert sentence in str(caught.value)
