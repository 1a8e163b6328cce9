"""`es-reasonrank rerank`: a TREC run through a real encoder, stopped in the middle, recorded and replayed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from es_reasonrank.cli import root
from es_reasonrank.errors import PartialError, ReasonRankError, ServiceError
from es_reasonrank.evaluation.runs import read_run
from tests.model.contract import PASSAGES, QUERY

START = "from es_reasonrank.cli import main; main()"
QUERIES = 24


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    names = [f"d{number}" for number in range(len(PASSAGES))]
    rows = [{"_id": name, "text": text} for name, text in zip(names, PASSAGES, strict=True)]
    Path("corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("queries.jsonl").write_text(
        "".join(json.dumps({"_id": f"q{number}", "text": f"{QUERY} {number}"}) + "\n" for number in range(QUERIES))
    )
    Path("run.trec").write_text(
        "".join(
            f"q{number} Q0 {name} {place} {9 - place} bm25\n"
            for number in range(QUERIES)
            for place, name in enumerate(names)
        )
    )
    return tmp_path


ARGUMENTS = [
    "rerank",
    "--run",
    "run.trec",
    "--queries",
    "queries.jsonl",
    "--corpus",
    "corpus.jsonl",
    "--output",
    "out.trec",
]


def typed(*arguments: str) -> Result:
    return CliRunner().invoke(root, [*ARGUMENTS, *arguments], standalone_mode=False)


def test_a_run_is_reranked_and_says_what_it_was_made_with(folder: Path) -> None:
    result = typed("--json")
    assert result.return_value == 0, result.output
    run = read_run(folder / "out.trec")
    assert len(run) == QUERIES
    assert {hit.id for hit in run["q0"][:2]} == {"d1", "d4"}
    metadata = json.loads((folder / "out.trec.meta.json").read_text())
    assert metadata["profile"]["engine"]["model"] == "embedded:minilm-l6"
    assert metadata["versions"]["es-reasonrank"]
    assert metadata["outcomes"] == {"ok": QUERIES * len(PASSAGES)}
    assert not (folder / "out.trec.partial").exists()


def test_a_killed_run_goes_on(folder: Path) -> None:
    again = ["--at-once", "1", "--json"]
    first = subprocess.Popen([sys.executable, "-c", START, *ARGUMENTS, *again], stdout=subprocess.DEVNULL)
    partial = folder / "out.trec.partial"
    for _ in range(1200):
        time.sleep(0.05)
        if partial.exists() and len(partial.read_bytes().splitlines()) > 5:
            break
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = partial.read_bytes()
    assert not (folder / "out.trec").exists()
    assert json.loads(typed(*again).stdout)["queries"] == QUERIES
    assert len(read_run(folder / "out.trec")) == QUERIES
    assert len(kept.splitlines()) > 5


def test_a_server_that_is_gone_loses_nothing(folder: Path) -> None:
    error = typed("--profile", "rankgpt", "--base-url", "http://127.0.0.1:9", "--set", "engine.attempts=1").exception
    assert isinstance(error, ServiceError)
    assert "http://127.0.0.1:9 gives no answer" in str(error)
    assert not (folder / "out.trec").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("run.trec", "q0 Q0 d0 1 2\n"), "run.trec, line 1: a run's line has six columns"),
        (("run.trec", "qx Q0 d0 1 2 t\n"), "run.trec: 1 of its 1 queries have no text, the first is 'qx'"),
        (("run.trec", "q0 Q0 dx 1 2 t\n"), "corpus.jsonl: 1 of 1 documents of the run are not in this corpus"),
        (("queries.jsonl", "{}\n"), "queries.jsonl, line 1: a query needs"),
    ],
)
def test_wrong_files(change: tuple[str, str], sentence: str, folder: Path) -> None:
    (folder / change[0]).write_text(change[1])
    error = typed().exception
    assert isinstance(error, ReasonRankError)
    assert not isinstance(error, PartialError)
    assert sentence in str(error)


def test_a_run_is_recorded_and_replayed_without_its_model(folder: Path) -> None:
    small = [
        "--profile",
        "embedded",
        "--depth",
        "3",
        "--set",
        "judge.thinking_tokens=4",
        "--set",
        "judge.answer_tokens=40",
    ]
    Path("run.trec").write_text("".join(f"q0 Q0 d{place} {place} {9 - place} bm25\n" for place in range(5)))
    assert typed(*small, "--record", "replies.jsonl").exception is None
    recorded = (folder / "out.trec").read_text()
    (folder / "out.trec").unlink()
    replay = ["--set", "engine={name: replay, recording: replies.jsonl}"]
    result = typed(*small, *replay, "--json")
    assert result.exception is None, result.exception
    assert [line.split()[2] for line in (folder / "out.trec").read_text().splitlines()] == [
        line.split()[2] for line in recorded.splitlines()
    ]
    assert json.loads((folder / "out.trec.meta.json").read_text())["outcomes"] == {"ok": 1}
