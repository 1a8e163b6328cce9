"""The sliding window: from the end of the list to its head, so that a good passage can rise all the way in one pass.

Source: RankGPT (Sun et al., 2304.09542, section 3.2); window 20 and stride 10 as in ReasonRank (2508.07050).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Self

from pydantic import Field, model_validator

from es_reasonrank.rerank.strategies import Ask, Standing
from es_reasonrank.validation import Checked


class SlidingOptions(Checked):
    """The window's numbers."""

    window: int = Field(20, ge=2, description="Passages shown at once.")
    stride: int = Field(10, ge=1, description="Passages by which the window moves towards the head.")
    passes: int = Field(1, ge=1, description="Times the whole list is gone through.")

    @model_validator(mode="after")
    def _overlap(self) -> Self:
        if self.stride > self.window:
            raise ValueError(f"stride {self.stride} is larger than window {self.window}: passages would be passed over")
        return self


class SlidingStrategy:
    """Windows one after another: each begins with what the last one put first."""

    options_model: ClassVar = SlidingOptions
    needs_scores: ClassVar = False
    stages: ClassVar = ()

    def __init__(self, options: SlidingOptions) -> None:
        self.options = options

    async def rank(self, standing: Standing, ask: Ask) -> None:
        """(n - window) / stride + 1 calls a pass, rounded up; one where the list fits a window."""
        for _ in range(self.options.passes):
            for start, end in windows(len(standing.order), self.options.window, self.options.stride):
                if end - start < 2:
                    continue
                shown = standing.order[start:end]
                verdict = await ask(shown)
                standing.order[start:end] = [shown[place] for place in verdict.order]


def windows(size: int, window: int, stride: int) -> Iterator[tuple[int, int]]:
    """The windows (start, end) over `size` items, the last items' first; the first window at the head ends the pass.

    >>> list(windows(35, 20, 10))
    [(15, 35), (5, 25), (0, 15)]
    >>> list(windows(10, 20, 10))
    [(0, 10)]
    """
    end = size
    while end > 0:
        start = max(0, end - window)
        yield start, end
        if start == 0:
            return
        end -= stride
