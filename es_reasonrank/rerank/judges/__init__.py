"""Judges: what a model is asked about one window, and how its answer is read. One file a judge.

A judge's class is found by name through the entry point group `es_reasonrank.judges`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from es_reasonrank.engines.base import Capability
from es_reasonrank.types import Candidate, Verdict
from es_reasonrank.validation import Checked


class Judge(Protocol):
    """Answers one window at a time; any number of windows may be asked at once."""

    options_model: ClassVar[type[Checked]]
    options: Any
    """The checked options: part of what a remembered verdict is found by."""

    @property
    def needs(self) -> frozenset[Capability]:
        """What the engine must offer, as the judge's options have it."""

    def __init__(self, options: Any, engine: Any) -> None:
        """A judge with checked `options` over an engine that has what it needs."""

    @property
    def gives_scores(self) -> bool:
        """Whether a verdict that ranks has a score for every passage."""

    async def judge(self, query: str, passages: Sequence[Candidate]) -> Verdict:
        """The verdict on one window.

        Raises:
            EngineError: the engine failed.
        """
