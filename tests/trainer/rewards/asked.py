"""Readers of each judge's replies, and well-formed replies to them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from es_reasonrank.rerank.judges.graded import GradedOptions
from es_reasonrank.rerank.judges.listwise import ListwiseOptions
from es_reasonrank.rerank.judges.relevance import RelevanceOptions
from es_reasonrank.rerank.judges.setwise import SetwiseOptions
from trainer.rewards.reading import Reader

LISTWISE = Reader.of(ListwiseOptions())
DIRECT = Reader.of(ListwiseOptions(template="listwise", thinking=False))
SETWISE = Reader.of(SetwiseOptions())
WORST = Reader.of(SetwiseOptions(select="worst"))
POINTWISE = Reader.of(GradedOptions())
YES_OR_NO = Reader.of(RelevanceOptions(template="relevance", thinking=False, positive="yes", negative="no"))
TO_FOUR = Reader.of(GradedOptions(highest=4))
GROUPWISE = Reader.of(GradedOptions(template="graded_group_think", read="listed"))
READERS = {
    "reasonrank": LISTWISE,
    "rearank": LISTWISE,
    "rank_r1": SETWISE,
    "erank": POINTWISE,
    "tfrank": TO_FOUR,
    "tfrank_listwise": LISTWISE,
    "iranker": WORST,
    "rarl": GROUPWISE,
}


def thought(answer: str) -> str:
    return f"<think>because</think> <answer>{answer}</answer>"


def order(places: Sequence[int]) -> str:
    """The reply that says an order of places from 0."""
    return thought(" > ".join(f"[{place + 1}]" for place in places))


def choice(place: int) -> str:
    return thought(f"[{place + 1}]")


def grades(values: Sequence[int]) -> str:
    listed: Mapping[str, Any] = {str(number): value for number, value in enumerate(values, start=1)}
    return thought(json.dumps(listed))
