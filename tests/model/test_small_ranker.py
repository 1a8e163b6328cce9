"""The adapter that comes with the package: merged once, and served by its profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from es_reasonrank import Candidate, Reranker
from es_reasonrank.engines import embedded
from es_reasonrank.errors import SettingsError


def test_it_is_merged_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ES_REASONRANK_CACHE_DIR", str(tmp_path))
    folder = Path(embedded.resolve("embedded:small-ranker"))
    assert folder.is_relative_to(tmp_path)
    weights = folder / "model.safetensors"
    first = weights.stat().st_mtime_ns
    assert weights.read_bytes() != (Path(embedded.resolve("embedded:minilm-l6")) / "model.safetensors").read_bytes()
    assert embedded.resolve("embedded:small-ranker") == str(folder)
    assert weights.stat().st_mtime_ns == first
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


async def test_it_ranks_as_it_learned() -> None:
    facts = {
        "a": "An animal is a kind of living thing.",
        "b": "The sun is the source of light and heat called sunlight.",
        "c": "Melting means matter changes from a solid into a liquid by adding heat energy.",
    }
    candidates = [Candidate(name, text) for name, text in facts.items()]
    async with Reranker.load("small-ranker") as reranker:
        ranking = await reranker.arank("Which process turns ice into water?", candidates)
    assert next(iter(ranking)).id == "c"
    assert ranking.trace.status == "ok"


def test_a_name_that_is_nearly_right_is_told() -> None:
    with pytest.raises(SettingsError, match="did you mean 'small-ranker'"):
        embedded.resolve("embedded:small-rnker")
