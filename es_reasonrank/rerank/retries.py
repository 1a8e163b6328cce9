"""Asking again where a window failed, as the profile says for each outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pydantic import Field

from es_reasonrank.errors import EngineError
from es_reasonrank.rerank.judges import Judge
from es_reasonrank.types import Candidate, Outcome, Verdict
from es_reasonrank.validation import Checked

FINAL = frozenset({Outcome.OK, Outcome.REPAIRED, Outcome.DEADLINE})
"""Outcomes that are never asked about again."""


class Retry(Checked):
    """What to do about one outcome."""

    times: int = Field(1, ge=1, le=10, description="How often the window is asked again.")
    temperature: float | None = Field(None, ge=0, description="Temperature of these attempts; as before by default.")


class RetryingJudge:
    """Another judge, asked again about windows whose outcome has a rule; the last verdict counts, with all tokens.

    Args:
        judge: the judge.
        rules: what to do by outcome.
        warmed: makes the same judge with another temperature.
    """

    def __init__(self, judge: Judge, rules: Mapping[Outcome, Retry], warmed: Callable[[float], Judge]) -> None:
        self._rules = rules
        self._judges: dict[float | None, Judge] = {None: judge}
        self._warmed = warmed

    async def judge(self, query: str, passages: Sequence[Candidate]) -> Verdict:
        """The verdict of the last attempt; an engine's failure is one too."""
        verdict = await self._attempt(None, query, passages)
        spent = Counter[Outcome]()
        while (rule := self._rules.get(verdict.outcome)) and spent[verdict.outcome] < rule.times:
            spent[verdict.outcome] += 1
            again = await self._attempt(rule.temperature, query, passages)
            verdict = replace(
                again,
                attempts=verdict.attempts + 1,
                prompt_tokens=verdict.prompt_tokens + again.prompt_tokens,
                generated_tokens=verdict.generated_tokens + again.generated_tokens,
            )
        return verdict

    async def _attempt(self, temperature: float | None, query: str, passages: Sequence[Candidate]) -> Verdict:
        if temperature not in self._judges:
            assert temperature is not None
            self._judges[temperature] = self._warmed(temperature)
        try:
            verdict = await self._judges[temperature].judge(query, passages)
        except EngineError as error:
            return Verdict.unchanged(len(passages), Outcome.ENGINE_ERROR, str(error))
        if sorted(verdict.order) != list(range(len(passages))):
            detail = "the judge gave no permutation of its window"
            return Verdict.unchanged(len(passages), Outcome.MALFORMED, detail)
        return verdict
