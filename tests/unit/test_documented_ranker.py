"""The worked examples of docs/how-to/your-own-ranker.md, run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from es_reasonrank import Profile, Reranker, load_profile
from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.judges.listwise import ListwiseJudge
from es_reasonrank.types import Outcome
from tests.unit.fakes import ScriptedEngine

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "your-own-ranker.md"


def block(language: str, beginning: str) -> str:
    """The code block of that language which begins so."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [text for text in blocks if text.startswith(beginning)]
    return found


def test_a_profile_with_a_template_beside_it(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(block("yaml", "# small.yaml"))
    (tmp_path / "ours.yaml").write_text(block("yaml", "# ours.yaml"))
    reranker = Reranker.load(tmp_path / "small.yaml")
    judge = reranker.ranker.judge
    assert isinstance(judge, ListwiseJudge)
    assert judge.prompter.template.system_message == "You sort texts by how well they answer a question."


async def test_a_judge_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by its entry point as soon as the package that declares it is installed."""
    values = load_profile("rankgpt").model_dump()
    profile = Profile(**{**values, "strategy": {"name": "pointwise"}, "judge": {"name": "yes_no", "words": 2}})
    engine = ScriptedEngine(lambda request: "Yes." if "blue" in request.messages[0]["content"] else "no")
    with pytest.raises(SettingsError, match="unknown judge 'yes_no'"):
        Reranker.load(profile, engine=engine)
    (tmp_path / "yes_no.py").write_text(block("python", "# yes_no.py"))
    installed = tmp_path / "yes_no-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: yes_no\nVersion: 1.0\n")
    declared = block("ini", "# setup.cfg").partition("es_reasonrank.judges =")[2].strip()
    (installed / "entry_points.txt").write_text(f"[es_reasonrank.judges]\n{declared}\n")
    monkeypatch.syspath_prepend(tmp_path)
    ranking = await Reranker.load(profile, engine=engine).arank("q", ["cats sleep", "sky is blue", "the blue sky"])
    assert ranking.order == (2, 0, 1)
    assert ranking.trace.outcomes == {Outcome.OK: 3}
