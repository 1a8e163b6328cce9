"""What a teacher will cost, before it is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from es_reasonrank.engines.openai import roots_of
from es_reasonrank.errors import SettingsError
from es_reasonrank.validation import Checked

_MILLION = 1_000_000
_HERE = ("localhost", "127.0.0.1", "::1")


class Prices(Checked):
    """What a million tokens cost, in any one currency."""

    prompt: float = Field(ge=0, description="Price of a million prompt tokens.")
    generated: float = Field(ge=0, description="Price of a million generated tokens.")

    def of(self, prompt: int, generated: int) -> float:
        """What so many tokens cost."""
        return (prompt * self.prompt + generated * self.generated) / _MILLION


@dataclass(frozen=True)
class Call:
    """One question to a teacher that is not answered yet."""

    prompt_tokens: int
    answer_tokens: int
    """How many its reply may have."""
    guessed: bool = False
    """Whether its prompt depends on earlier answers, and another one of the same make stands in for it."""


@dataclass(frozen=True)
class Estimate:
    """What all questions come to. Asking again after a failure is not in it."""

    calls: int
    prompt_tokens: int
    answer_tokens: int
    """How many there will be at most."""
    guessed: int
    """How many calls have a prompt that is not known yet."""
    money: float | None
    """What they cost at most; None where no prices are given."""

    def summary(self) -> dict[str, Any]:
        """Everything by name."""
        return asdict(self)

    def __str__(self) -> str:
        guessed = f" ({self.guessed:,} of them guessed)" if self.guessed else ""
        money = "" if self.money is None else f", at most {self.money:,.2f} in money"
        return (
            f"{self.calls:,} calls{guessed}, {self.prompt_tokens:,} prompt tokens and at most "
            f"{self.answer_tokens:,} answer tokens{money}"
        )


async def estimated(calls: AsyncIterator[Call], prices: Prices | None) -> Estimate:
    """The sum of all calls."""
    count = prompt = answer = guessed = 0
    async for call in calls:
        count += 1
        prompt += call.prompt_tokens
        answer += call.answer_tokens
        guessed += call.guessed
    return Estimate(count, prompt, answer, guessed, prices.of(prompt, answer) if prices else None)


def is_local(engine: Mapping[str, Any]) -> bool:
    """Whether a profile's engine runs on this machine: no server that others pay or wait for."""
    if engine["name"] != "openai":
        return True
    roots = roots_of(engine.get("base_url", "http://127.0.0.1"))
    return all(urlsplit(root).hostname in _HERE for root in roots)


def check_agreed(estimate: Estimate, *, model: str, local: bool, limit: float | None, yes: bool) -> None:
    """Stop before anything is asked that somebody may have to pay for.

    Raises:
        SettingsError: nobody has agreed yet.
    """
    above = limit is not None and estimate.money is not None and estimate.money > limit
    if yes or not estimate.calls or (local and not above):
        return
    why = f"more than the limit of {limit:,.2f}" if above else "by a server that is not on this machine"
    raise SettingsError(
        f"teacher {model}: {estimate}, {why}; nothing was asked yet: agree with --yes, or teacher.yes: true"
    )
