"""`es-reasonrank doctor` asks a real server, a real index and a real model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from elasticsearch import AsyncElasticsearch

from es_reasonrank.cli import root
from tests.elastic.documents import fill


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without settings."""
    monkeypatch.chdir(tmp_path)


def doctor(*arguments: str) -> tuple[Result, dict[str, dict[str, object]]]:
    """The command's result, and its findings by part."""
    result = CliRunner().invoke(root, ["doctor", "--json", *arguments], standalone_mode=False)
    return result, {finding["part"]: finding for finding in json.loads(result.stdout)}


@pytest.fixture
async def index(es: AsyncElasticsearch, index_name: str) -> str:
    """An index of five documents."""
    return await fill(es, index_name)


def test_all_is_well(index: str, elastic_url: str) -> None:
    result, found = doctor("--elastic-url", elastic_url, "--index", index)
    assert result.return_value == 0
    assert "'es-reasonrank' is green" in str(found["Elasticsearch"]["answer"])
    assert found[f"index {index}"]["answer"] == "5 documents, text from title, body"
    assert "ranked two passages in" in str(found["profile encoder"]["answer"])
    assert found["extra [train]"]["answer"] == "installed"


def test_what_is_missing_is_named_with_the_way_to_mend_it(elastic_url: str) -> None:
    result, found = doctor("--elastic-url", elastic_url, "--index", "none", "--model", "/none")
    assert result.return_value == 2
    assert "create it with: es-reasonrank index FILE --index none" in str(found["index none"]["answer"])
    assert "model folder /none does not exist" in str(found["profile encoder"]["answer"])
    assert found["Elasticsearch"]["ok"]


def test_a_cluster_that_is_down() -> None:
    result, found = doctor("--elastic-url", "http://127.0.0.1:9")
    assert result.return_value == 6
    assert not found["Elasticsearch"]["ok"]
    assert found["profile encoder"]["ok"]
