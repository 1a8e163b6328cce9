"""The small ranker: it learns to tell what it is shown apart, and is served as it was trained."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest

from es_reasonrank.errors import InputError
from es_reasonrank.rerank.profile import load_profile
from es_reasonrank.rerank.reranker import Reranker
from tests.trainer.test_sft import LISTS, work_in
from trainer import encoder
from trainer.lists import Passage, write_lists
from trainer.training import Lora


def test_each_positive_stands_with_its_negatives_as_serving_shows_them() -> None:
    one = LISTS[0].model_copy(
        update={
            "passages": (*LISTS[0].passages, Passage(id="d", text="Blue is a colour.", title="Colour")),
            "relevant": {"d": 1, "b": 2},
        }
    )
    rows = list(encoder.pairs([one], encoder.Options(negatives=3), Random(7)))
    assert [row["positive"] for row in rows] == ["\nAir scatters blue light.", "Colour\nBlue is a colour."]
    for row in rows:
        negatives = [row[f"negative_{number}"] for number in range(3)]
        assert set(negatives) == {"\nRain falls from clouds.", "\nThe sea mirrors the sky."}


@pytest.mark.parametrize("relevant", [{}, {"a": 1, "b": 1, "c": 1}])
def test_lists_that_tell_nothing_apart_are_refused(tmp_path: Path, relevant: dict[str, int]) -> None:
    work = work_in(tmp_path)
    write_lists(tmp_path / "lists.jsonl", [one.model_copy(update={"relevant": relevant}) for one in LISTS])
    with pytest.raises(InputError, match="no list has both a relevant passage and another one"):
        encoder.run(work, encoder.Options())


@pytest.mark.parametrize(
    "changes", [{"learning_rate": 2e-4}, {"learning_rate": 5e-3, "lora": Lora(rank=8, alpha=16), "mixed": True}]
)
async def test_a_served_encoder_has_learned(tmp_path: Path, changes: dict[str, Any]) -> None:
    one = LISTS[0].model_copy(update={"relevant": {"a": 1}})
    work = work_in(tmp_path)
    write_lists(tmp_path / "lists.jsonl", [one, one.model_copy(update={"qid": "2"})])
    options = encoder.Options(negatives=2, batch=2, steps=25, max_tokens=32, **changes)
    made = await asyncio.to_thread(encoder.run, work, options)
    before, after = load_profile("encoder"), str(made.artifacts["encoder.encoder"])
    trained = before.model_copy(update={"engine": {**before.engine, "model": after}})
    candidates: list[Any] = [passage.candidate for passage in one.passages]
    async with Reranker.load(before) as untrained, Reranker.load(trained) as reranker:
        assert next(iter(await untrained.arank(one.query, candidates))).id != "a"
        assert next(iter(await reranker.arank(one.query, candidates))).id == "a"
