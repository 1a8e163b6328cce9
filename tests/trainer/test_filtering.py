"""The self-consistency filter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from es_reasonrank.errors import DataError
from trainer.cli import COMMANDS, root
from trainer.filtering import self_consistent

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
