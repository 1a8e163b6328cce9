"""Recording a run and ranking again from it without the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from es_reasonrank import Outcome, Profile, Reranker
from es_reasonrank.engines.replay import ReplayEngine, ReplayOptions
from es_reasonrank.errors import DataError, MissingError, SettingsError
from tests.unit.fakes import ScriptedEngine, listwise, reverse

DOCUMENTS = [f"{name} " * 40 for name in ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")]


async def record(path: Path, profile: Profile) -> tuple[int, ...]:
    async with Reranker.load(profile, engine=ScriptedEngine(reverse), record=path) as reranker:
        return (await reranker.arank("why", DOCUMENTS)).order


async def test_a_recorded_run_ranks_again_without_its_engine(tmp_path: Path) -> None:
    path, profile = tmp_path / "run.jsonl", listwise(passage_tokens=10)
    order = await record(path, profile)
    engine = ReplayEngine(ReplayOptions(recording=path))
    again = await Reranker.load(profile, engine=engine).arank("why", DOCUMENTS)
    assert again.order == order
    assert again.trace.model == "scripted"
    assert again.trace.outcomes == {Outcome.OK: 2}


async def test_a_call_that_was_not_recorded_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    await record(path, listwise(passage_tokens=10))
    engine = ReplayEngine(ReplayOptions(recording=path))
    other = await Reranker.load(listwise(passage_tokens=9), engine=engine).arank("why", DOCUMENTS)
    assert other.trace.outcomes == {Outcome.ENGINE_ERROR: 2}
    assert "holds no reply to this prompt" in other.trace.windows[0].detail


def test_a_recording_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"does not exist; write one with --record"):
        ReplayEngine(ReplayOptions(recording=tmp_path / "none.jsonl"))


@pytest.mark.parametrize(
    "text", ['{"no": "head"}\n', '{"recording": 1, "model": "m", "context": 1}\n{"what": 1}\n', "x\n"]
)
def test_a_file_that_is_no_recording(text: str, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=r"run.jsonl, line "):
        ReplayEngine(ReplayOptions(recording=path))


def test_only_text_can_be_recorded(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"generates no text that could be recorded"):
        Reranker.load("encoder", record=tmp_path / "run.jsonl")
