"""The encoder judge, the cheap ranker: a bi-encoder or cross-encoder scores passages against the query.

Source: Sentence-BERT (Reimers and Gurevych, 1908.10084): cosine similarity of query and passage embeddings; a
cross-encoder's score where the engine loads one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from es_reasonrank.engines.base import Capability, VectorEngine
from es_reasonrank.text import whole
from es_reasonrank.types import Candidate, Outcome, Verdict
from es_reasonrank.validation import Checked


class EncoderOptions(Checked):
    """How a passage is read."""

    title: bool = Field(True, description="Whether the title stands in front of the text.")


class EncoderJudge:
    """Scores each passage by itself; nothing is generated."""

    needs: ClassVar = frozenset({Capability.VECTORS})
    options_model: ClassVar = EncoderOptions
    gives_scores: ClassVar = True

    def __init__(self, options: EncoderOptions, engine: VectorEngine) -> None:
        self.options = options
        self.engine = engine

    async def judge(self, query: str, passages: Sequence[Candidate]) -> Verdict:
        """The window ordered by score; equal scores keep their incoming order."""
        result = await self.engine.similarity(whole(query), [shown(passage, self.options) for passage in passages])
        if not all(math.isfinite(score) for score in result.scores):
            return Verdict.unchanged(len(passages), Outcome.MALFORMED, "the encoder gave a score that is not a number")
        order = tuple(sorted(range(len(passages)), key=lambda index: -result.scores[index]))
        return Verdict(order=order, outcome=Outcome.OK, scores=result.scores, prompt_tokens=result.tokens)


def shown(passage: Candidate, options: EncoderOptions) -> str:
    """A passage as the encoder reads it."""
    return whole(f"{passage.title}\n{passage.text}" if options.title else passage.text)
