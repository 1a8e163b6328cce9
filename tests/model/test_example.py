"""The documentation's example is what the real model says."""

from __future__ import annotations

from pathlib import Path

import pytest

from es_reasonrank.demo import example
from es_reasonrank.files import json_lines
from tests.model.record_example import record


async def test_the_recording_is_what_the_model_says(tmp_path: Path) -> None:
    """`python -m tests.model.record_example` writes it again."""
    await record(tmp_path / "again.jsonl")
    (_, head), *rows = json_lines(tmp_path / "again.jsonl")
    (_, shipped_head), *shipped = json_lines(example.RECORDING)
    assert head == shipped_head
    told, expected = [
        {row["next"]: row.pop("logprobs") for _, row in each if "next" in row} for each in (rows, shipped)
    ]
    assert sorted(map(str, rows)) == sorted(map(str, shipped))
    assert told.keys() == expected.keys()
    for key, logprobs in expected.items():
        assert told[key] == pytest.approx(logprobs, abs=0.01)
