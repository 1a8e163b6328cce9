"""`es-reasonrank sensitivity` on real models: one that scores passages alone, and one that sees them in a window."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from es_reasonrank.cli import root
from es_reasonrank.errors import DataError

TEXTS = {
    "sky": "Air scatters blue light more than red light.",
    "sea": "Water absorbs red light, and looks blue.",
    "cat": "Cats sleep for most of the day.",
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [json.dumps({"_id": name, "text": text}) for name, text in TEXTS.items()]
    Path("corpus.jsonl").write_text("\n".join(rows))
    Path("queries.jsonl").write_text('{"_id": "q", "text": "why is the sky blue"}')
    Path("run.trec").write_text("q Q0 cat 1 3 bm25\nq Q0 sea 2 2 bm25\nq Q0 sky 3 1 bm25\n")
    Path("qrels.tsv").write_text("q\tsky\t3\nq\tsea\t1\n")


def sensitivity(*arguments: str) -> Result:
    names = {"run": "run.trec", "queries": "queries.jsonl", "corpus": "corpus.jsonl", "qrels": "qrels.tsv"}
    options = [word for name, file in names.items() for word in (f"--{name}", file)]
    return CliRunner().invoke(root, ["sensitivity", *options, *arguments], standalone_mode=False)


@pytest.mark.usefixtures("files")
def test_an_encoder_is_not_moved() -> None:
    found = json.loads(sensitivity("--orders", "2", "--json").stdout)
    assert found["base"] == found["mean"] == 1.0
    assert found["shuffled"] == [1.0, 1.0]
    assert found["moved"] == 0.0


@pytest.mark.usefixtures("files")
def test_a_small_language_model_is() -> None:
    """It names the first passage shown, or nothing: what it ends with hangs on the incoming order."""
    result = sensitivity("--orders", "3", "-p", "embedded", "--set", "judge.constrained=true")
    lines = result.stdout.splitlines()
    assert result.return_value is None, result.output
    assert lines[0].split() == ["incoming", "order", "nDCG@10", "change"]
    assert [line.split()[0] for line in lines[1:5]] == ["the", "shuffled,", "shuffled,", "shuffled,"]
    assert len({line.split()[-1] for line in lines[2:5]}) > 1
    assert "a query moves by" in lines[5]


@pytest.mark.usefixtures("files")
def test_judgments_of_other_queries() -> None:
    Path("qrels.tsv").write_text("other\tsky\t3\n")
    error = sensitivity().exception
    assert isinstance(error, DataError)
    assert "has no judgment of any of the 1 queries of run.trec" in str(error)
