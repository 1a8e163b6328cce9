"""The self-consistency filter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from es_reasonrank.errors import DataError, MissingError
from es_reasonrank.rerank.profile import load_profile
from trainer.cli import COMMANDS, root
from trainer.filtering import Lengths, Options, agreement, filtered, run, self_consistent
from trainer.lists import Passage, TrainingList, write_lists
from trainer.stages import Work

DOCUMENTS = [f"d{number}" for number in range(20)]


def record(qid: str, relevant: list[str], **change: Any) -> dict[str, Any]:
    return {
        "dataset": "biology",
        "qid": qid,
        "initial_list": DOCUMENTS,
        "final_list": DOCUMENTS,
        "relevant_docids": relevant,
        **change,
    }


@pytest.mark.parametrize(
    ("relevant", "kept"),
    [
        (["d0"], True),  # nDCG@10 = 1
        (["d3"], True),  # 1 / log2(5) = 0.43
        (["d4"], False),  # 1 / log2(6) = 0.387
        (["d11"], False),  # 0: beyond the tenth place
        (["d0", "d11"], True),  # 1 / (1 + 1 / log2(3)) = 0.61
    ],
)
def test_agreement_decides(relevant: list[str], kept: bool) -> None:
    assert bool(self_consistent([record("1", relevant)]).kept) is kept


def test_alpha_is_an_option() -> None:
    rows = [record("1", ["d4"])]
    assert not self_consistent(rows, alpha=0.4).kept
    assert self_consistent(rows, alpha=0.38).kept


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"final_list": DOCUMENTS[:-1]}, "the order is no permutation of the list"),
        ({"final_list": [*DOCUMENTS[:-1], "d0"]}, "the order is no permutation of the list"),
        ({"relevant_docids": ["elsewhere"]}, "nothing relevant in the list"),
        ({"final_list": None}, "a list is missing"),
        ({"initial_list": ["d0"], "final_list": ["d0"]}, "the list has fewer than 2 passages"),
    ],
)
def test_a_flawed_record_is_dropped_with_its_reason(change: dict[str, Any], reason: str) -> None:
    result = self_consistent([record("1", ["d0"], **change)])
    assert [why for _, why in result.dropped] == [reason]


def test_a_query_counts_once_and_nothing_is_lost() -> None:
    rows = [record("1", ["d0"]), record("1", ["d0"]), record("2", ["d15"])]
    result = self_consistent(rows)
    assert (len(result.kept), len(result.dropped)) == (1, 2)
    assert result.counts == {"biology": {"kept": 1, "a second record of the query": 1, "nDCG@10 below 0.4": 1}}


def test_the_command(tmp_path: Path) -> None:
    data, kept, dropped = (tmp_path / name for name in ("data.jsonl", "kept.jsonl", "dropped.jsonl"))
    rows = [record("1", ["d0"], reasoning="because"), record("2", ["d15"])]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = CliRunner().invoke(root, ["filter", str(data), "--output", str(kept), "--dropped", str(dropped), "--json"])
    assert json.loads(result.output)["kept"] == 1
    assert json.loads(kept.read_text()) == rows[0]
    assert json.loads(dropped.read_text()) == rows[1] | {"dropped": "nDCG@10 below 0.4"}


def test_agreement_by_hand() -> None:
    """One relevant passage at place 3: 1 / log2(4)."""
    assert agreement(["a", "b", "c"], {"c": 3}) == pytest.approx(0.5)
    assert agreement(["a", "b"], {}) == 0.0


@pytest.mark.parametrize(
    ("chain", "kept"),
    [
        ("The first passage answers it, the others do not.", True),
        ("Between [2] > [1] and [1] > [2], the second is better.", True),
        ("", True),
        ("It begins well </think> and goes on <answer>[2] > [1]</answer>", False),
        ("<think> it opens once more", False),
        ("The answer is <answer>", True),
    ],
)
def test_a_chain_must_read_back_as_it_was_written(chain: str, kept: bool) -> None:
    for reasoning in (chain, [chain]):
        result = filtered([record("1", ["d0"], reasoning=reasoning)], Options())
        assert bool(result.kept) is kept
        assert kept or result.dropped[0][1].startswith("malformed chain: ")
    assert self_consistent([record("1", ["d0"], reasoning=chain)]).kept


def test_of_queries_that_are_nearly_the_same_the_first_is_kept() -> None:
    queries = [
        "what are the long term effects of a high protein diet on the kidneys of adults",
        "What are the long-term effects of a high protein diet on the kidneys of adults?",
        "what are the long term effects of a high protein diet on the liver of adults",
        "what are the effects of coffee on sleep",
    ]
    rows = [record(str(place), ["d0"], query=query) for place, query in enumerate(queries)]
    result = filtered(rows, Options())
    assert [row["qid"] for row in result.kept] == ["0", "3"]
    assert [why for _, why in result.dropped] == ["the query is nearly another's: biology/0"] * 2
    assert result.counts["biology"] == {"kept": 2, "the query is nearly another's": 2}
    assert len(filtered(rows, Options(near=None)).kept) == 4


def test_a_query_that_is_dropped_makes_room_for_its_like() -> None:
    rows = [record("0", ["d15"], query="why is the sky blue"), record("1", ["d0"], query="why is the sky blue")]
    rows.append(record("2", ["d0"], query="Why is the sky blue?"))
    assert [row["qid"] for row in filtered(rows, Options()).kept] == ["1"]


def test_what_is_too_long_is_dropped() -> None:
    lengths = Lengths(chain=lambda row: len(row["reasoning"].split()), prompt=lambda row: len(row["query"].split()))
    rows = [record("1", ["d0"], query="a b c", passages={}, reasoning="one two three")]
    assert filtered(rows, Options(chain_tokens=3, prompt_tokens=3), lengths).kept
    for rule in ("chain", "prompt"):
        result = filtered(rows, Options(**{f"{rule}_tokens": 2}), lengths)  # type: ignore[arg-type]
        assert [why for _, why in result.dropped] == [f"{rule} of more than 2 tokens"]
    assert filtered(rows, Options(chain_tokens=2, prompt_tokens=2)).kept


def test_the_report_says_what_other_alphas_would_keep() -> None:
    """nDCG@10 of 1, 0.43, 0.387 and 0."""
    rows = [record(str(place), [name]) for place, name in enumerate(["d0", "d3", "d4", "d11"])]
    report = filtered(rows, Options()).report()["biology"]
    assert report["kept"] == 2
    assert report["share at alpha"] == {
        "0.1": 0.75,
        "0.2": 0.75,
        "0.3": 0.75,
        "0.4": 0.5,
        "0.5": 0.25,
        "0.6": 0.25,
        "0.7": 0.25,
    }
    assert report["mean nDCG@10"] == pytest.approx((1 + 0.4307 + 0.3869) / 4, abs=1e-3)


class TestStage:
    def work(self, folder: Path, **artifacts: Path) -> Work:
        return Work(folder, artifacts, "embedded:smollm2-135m", load_profile("embedded"), seed=0)

    def lists(self, folder: Path) -> Path:
        passages = (Passage(id="a", text="Rain falls."), Passage(id="b", text="Air scatters blue light. " * 20))
        good = TrainingList(
            dataset="toy",
            qid="1",
            query="why is the sky blue",
            passages=passages,
            relevant={"b": 1},
            order=("b", "a"),
            reasoning="[2] tells why, and [1] does not.",
        )
        long = good.model_copy(update={"qid": "2", "query": "another one", "reasoning": "And so on. " * 50})
        bad = good.model_copy(update={"qid": "3", "query": "a third", "relevant": {}})
        write_lists(folder / "made.jsonl", [good, long, bad])
        return folder / "made.jsonl"

    def test_it_hands_on_what_is_kept_and_what_is_not(self, tmp_path: Path) -> None:
        made = run(self.work(tmp_path, lists=self.lists(tmp_path)), Options(chain_tokens=60))
        kept, dropped = (
            [json.loads(line) for line in made.artifacts[name].read_text().splitlines()]
            for name in ("lists", "dropped")
        )
        assert [row["qid"] for row in kept] == ["1"]
        assert {row["qid"]: row["dropped"] for row in dropped} == {
            "2": "chain of more than 60 tokens",
            "3": "nothing relevant in the list",
        }
        assert made.numbers["sources"] == json.loads(made.artifacts["report"].read_text())
        assert (made.numbers["kept"], made.numbers["dropped"]) == (1, 2)

    def test_a_prompt_is_measured_as_it_is_asked(self, tmp_path: Path) -> None:
        """By the profile's own template and passage tokens, with the model's chat template."""
        with pytest.raises(
            DataError, match="the filter keeps none of 3 lists: 2 prompt of more than 100 tokens, 1 noth"
        ):
            run(self.work(tmp_path, lists=self.lists(tmp_path)), Options(prompt_tokens=100))

    def test_without_lists(self, tmp_path: Path) -> None:
        with pytest.raises(MissingError, match="there is no 'lists' yet; run synthesize first"):
            run(self.work(tmp_path), Options())


def test_the_command_measures_lengths_by_a_model(tmp_path: Path) -> None:
    TestStage().lists(tmp_path)
    paths = [
        str(tmp_path / "made.jsonl"),
        "--output",
        str(tmp_path / "kept.jsonl"),
        "--report",
        str(tmp_path / "r.json"),
    ]
    options = ["--model", "embedded:smollm2-135m", "--profile", "embedded", "--chain-tokens", "60"]
    result = CliRunner().invoke(root, ["filter", *paths, *options], catch_exceptions=False)
    assert "1 of 3 records kept" in result.output
    assert json.loads((tmp_path / "r.json").read_text())["toy"]["chain of more than 60 tokens"] == 1


def test_no_records(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text("\n")
    result = CliRunner().invoke(root, ["filter", str(data), "--output", str(tmp_path / "kept.jsonl")])
    assert isinstance(result.exception, DataError)


def test_every_command_has_its_line_of_help() -> None:
    for name, (_, line) in COMMANDS.items():
        command = root.get_command(click.Context(root), name)
        assert command is not None
        assert (command.help or "").splitlines()[0] == line
