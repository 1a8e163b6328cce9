"""The demonstration on a few of its questions, with the profile that helps."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from es_reasonrank.cli import demo, root
from es_reasonrank.demo import questions

pytestmark = pytest.mark.one_version

FEW = ("q01", "q18", "q22", "q36", "q05", "q12")


@pytest.fixture(autouse=True)
def few(elastic_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {name: text for name, text in questions.questions().items() if name in FEW}
    graded = {name: grades for name, grades in questions.judgments().items() if name in FEW}
    monkeypatch.setattr(demo, "questions", lambda: asked)
    monkeypatch.setattr(demo, "judgments", lambda: graded)
    monkeypatch.setattr(demo, "PROFILES", ("encoder",))
    monkeypatch.setenv("ES_REASONRANK_ELASTIC_URL", elastic_url)


def test_it_ranks_measures_and_writes_back() -> None:
    result = CliRunner().invoke(root, ["demo"], standalone_mode=False)
    assert result.exception is None, result.exception
    assert "gained most by encoder" in result.stdout
    assert "lost most by encoder" in result.stdout
    assert "6 results written back to index es-reasonrank-demo-results" in result.stdout
    assert "passages of Python's documentation in index es-reasonrank-demo" in result.stderr


def test_programs_get_the_numbers() -> None:
    result = CliRunner().invoke(root, ["demo", "--json"], standalone_mode=False)
    base, encoder = json.loads(result.stdout)
    assert base["ranker"] == "base (BM25)"
    assert encoder["ranker"] == "encoder"
    assert encoder["measures"]["nDCG@10"] > base["measures"]["nDCG@10"]
    assert encoder["measures"]["R@100"] == pytest.approx(base["measures"]["R@100"])
    assert encoder["outcomes"] == {"ok": 600}
    assert encoder["verdict"].startswith("encoder ")
