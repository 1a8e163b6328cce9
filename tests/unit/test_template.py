"""Prompt templates: ours, and rank_llm's format."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.prompts.template import Template, load_template

SINGLE = {
    "method": "singleturn_listwise",
    "system_message": "Order passages.",
    "prefix": "There are {num}. Query: {query}\n",
    "body": "[{rank}] {candidate}\n",
    "suffix": "Now order the {num}.",
    "output_validation_regex": 'r"^\\[\\d+\\]( > \\[\\d+\\])*$"',
    "output_extraction_regex": 'r"\\[(\\d+)\\]" ',
}
MULTI = {
    "method": "multiturn_listwise",
    "prefix_user": "There are {num}. Query: {query}",
    "prefix_assistant": "Go on.",
    "body_user": "[{rank}] {candidate}",
    "body_assistant": "Got [{rank}].",
    "suffix_user": "Order them.",
}


def written(folder: Path, values: object) -> str:
    path = folder / "template.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return str(path)


def render(template: Template, *passages: str) -> list[tuple[str, str]]:
    identifiers = [str(number) for number in range(1, len(passages) + 1)]
    chat = template.render("why", passages, identifiers, [1.5] * len(passages))
    return [(message["role"], message["content"]) for message in chat]


def test_single_turn(tmp_path: Path) -> None:
    template = load_template(written(tmp_path, SINGLE))
    assert render(template, "a {b}", "c") == [
        ("system", "Order passages."),
        ("user", "There are 2. Query: why\n[1] a {b}\n[2] c\nNow order the 2."),
    ]
    assert template.form(("1", "2")).whole == r"^\[\d+\]( > \[\d+\])*$"
    assert template.form(("1", "2")).identifier == r"\[(\d+)\]"


def test_multi_turn(tmp_path: Path) -> None:
    assert render(load_template(written(tmp_path, MULTI)), "a", "b") == [
        ("user", "There are 2. Query: why"),
        ("assistant", "Go on."),
        ("user", "[1] a"),
        ("assistant", "Got [1]."),
        ("user", "[2] b"),
        ("assistant", "Got [2]."),
        ("user", "Order them."),
    ]


def test_multi_turn_with_all_passages_in_one_turn(tmp_path: Path) -> None:
    values = {key: value for key, value in MULTI.items() if key != "body_assistant"} | {
        "body_user": "[{rank}] {candidate}\n"
    }
    assert render(load_template(written(tmp_path, values)), "a", "b")[-1] == ("user", "[1] a\n[2] b\nOrder them.")


def test_scores_and_passage_names(tmp_path: Path) -> None:
    values = SINGLE | {"body": "PASSAGE{rank} ({score}): {candidate}\n", "suffix": "{psg_ids}"}
    assert render(load_template(written(tmp_path, values)), "a", "b")[-1][1].endswith(
        "PASSAGE1 (1.500): a\nPASSAGE2 (1.500): b\n[PASSAGE1, PASSAGE2]"
    )


@pytest.mark.parametrize(
    ("change", "examples"),
    [
        ({}, set()),
        ({"suffix": "In the form [] > [], as in [4] > [2]."}, {("4", "2")}),
        ({"system_message": "Say [1] > [2].", "suffix": "Or [2] > [1]."}, {("1", "2"), ("2", "1")}),
        ({"suffix": "{{[3] > [1]}}, [{num}] > [1]"}, {("3", "1"), ("1",)}),
        ({"suffix": "PASSAGE2, PASSAGE1", "output_extraction_regex": r"PASSAGE(\d+)"}, {("2", "1")}),
        ({"suffix": "PASSAGE2, PASSAGE1", "output_extraction_regex": r"PASSAGE(?P<id>\d+)"}, {("2", "1")}),
    ],
)
def test_its_own_example_of_an_answer_is_none(change: dict[str, str], examples: set[tuple[str, ...]]) -> None:
    assert load_template(SINGLE | change).form(("1", "2", "3")).examples == examples


@pytest.mark.parametrize(
    ("body", "openings"),
    [
        ("[{rank}] {candidate}", set()),
        ("{rank}. {candidate}", set()),
        ("({rank}) {candidate}", {"("}),
        ("( {rank} ) {candidate}", {"("}),
        ("{{{rank}}} {candidate}", {"{"}),
        ("PASSAGE{rank} = {candidate}", {"passage"}),
        ("[Document {rank}] {candidate}", {"document"}),
        ("Passage #{rank}: {candidate}", {"passage"}),
        ('<doc id="{rank}">{candidate}</doc>', {"id"}),
        ("Passage ({rank}) {candidate}", {"("}),
        ("{candidate}\n{rank}\n", set()),
    ],
)
def test_the_shape_of_its_identifiers(body: str, openings: set[str]) -> None:
    assert load_template(SINGLE | {"body": body}).openings == openings
    assert load_template(SINGLE | {"body": body, "suffix": "{psg_ids}"}).openings == openings | {"passage"}
    turns = MULTI | {"body_user": body}
    assert load_template(turns).openings == openings


@pytest.mark.parametrize("name", ["listwise", "listwise_think"])
def test_ours_name_every_passage_and_the_query(name: str) -> None:
    text = render(load_template(name), "first passage", "second passage")[-1][1]
    assert text.count("why") == 2
    assert "[1] first passage\n[2] second passage\n" in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"method": "pairwise"}, "method"),
        ({"sufix": "x"}, "unknown key 'sufix' (did you mean 'suffix'?)"),
        ({"body": "{candidate}"}, "section 'body' must hold {rank} and {candidate}"),
        ({"prefix": "no query"}, "no section holds {query}"),
        ({"prefix": "{query} {topic}"}, "section 'prefix' has an unknown placeholder {topic}"),
        ({"body_user": "[{rank}] {candidate}"}, "section 'body_user' does not belong to method 'singleturn_listwise'"),
        ({"prefix": "{query} {"}, "prefix"),
        ({"output_extraction_regex": "(["}, "output_extraction_regex"),
        ({"output_extraction_regex": r"\[\d+\]"}, "one group"),
        ({"output_extraction_regex": r"(?i)PASSAGE(\d+)"}, "cannot be repeated in a longer pattern"),
    ],
)
def test_a_broken_template_says_where(change: dict[str, str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_template(written(tmp_path, SINGLE | change))
    assert sentence in str(caught.value)
    assert "template.yaml" in str(caught.value)


def test_an_unknown_template_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"unknown template 'listwise_thnk' .did you mean 'listwise_think'"):
        load_template("listwise_thnk")


def test_a_template_file_that_is_not_there() -> None:
    with pytest.raises(SettingsError, match=r"template nowhere.yaml cannot be read: No such file"):
        load_template("nowhere.yaml")
