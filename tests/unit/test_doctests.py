"""The examples in docstrings, run as they stand there."""

from __future__ import annotations

import doctest
import importlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import es_reasonrank

ROOT = Path(es_reasonrank.__file__).parent
RUN = {"es_reasonrank", "es_reasonrank.rerank.reranker", "es_reasonrank.rerank.fusion"}


def module(path: Path) -> str:
    """The name of a module of the package."""
    parts = ("es_reasonrank", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


WITH_EXAMPLES = sorted(module(path) for path in ROOT.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))


def test_they_are_found() -> None:
    assert set(WITH_EXAMPLES) >= RUN


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_a_modules_examples(name: str) -> None:
    """In a thread of its own, which has no event loop yet, as a reader's has none."""
    with ThreadPoolExecutor(1) as thread:
        result = thread.submit(doctest.testmod, importlib.import_module(name)).result()
    assert result.attempted
    assert not result.failed


def test_the_pages_example_of_a_replay(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT.parent / "docs" / "how-to" / "record-and-replay.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(block, {})
    assert capsys.readouterr().out.strip() == block.rpartition("# ")[2].strip()


def test_the_library_has_one_for_each_way_to_rank() -> None:
    reranker = importlib.import_module("es_reasonrank.rerank.reranker")
    shown = {test.name.rpartition(".")[2] for test in doctest.DocTestFinder().find(reranker) if test.examples}
    assert shown >= {"Reranker", "load", "rank", "arank", "rank_many"}
