"""The self-consistency filter: a teacher's order is kept only where it agrees with the teacher's own selection.

Source: ReasonRank (2508.07050, section 4.1): a listwise label is kept where its nDCG@10 against the pointwise labels is
at least alpha, 0.4. A record has the form of ReasonRank's released data: `dataset`, `qid`, `initial_list`,
`final_list`, `relevant_docids`, and whatever else it carries along.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from es_reasonrank.evaluation.measures import by_place, measure

ALPHA = 0.4
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Filtered:
    """What is kept, and what is dropped with its reason. Together they are all that came in, in its order."""

    kept: list[Record]
    dropped: list[tuple[Record, str]]
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """For each dataset, how many were kept, and how many dropped for which reason."""


def self_consistent(records: Sequence[Record], *, alpha: float = ALPHA) -> Filtered:
    """Split records into those to train on and those not to.

    Args:
        records: training lists.
        alpha: the least nDCG@10 of `final_list` against `relevant_docids`, each relevant document counting 1.
    """
    agreement = _agreement(records)
    result = Filtered([], [])
    seen: set[tuple[str, str]] = set()
    for place, record in enumerate(records):
        key = (str(record.get("dataset", "")), str(record.get("qid", place)))
        reason = "a second record of the query" if key in seen else _flaw(record)
        if not reason and agreement[str(place)] < alpha:
            reason = f"nDCG@10 below {alpha}"
        seen.add(key)
        result.counts.setdefault(key[0], Counter())[reason or "kept"] += 1
        if reason:
            result.dropped.append((record, reason))
        else:
            result.kept.append(record)
    return result


def _flaw(record: Record) -> str:
    """Why a record is none to train on, or nothing."""
    lists = [record.get(name) for name in ("initial_list", "final_list", "relevant_docids")]
    if not all(isinstance(entry, list) for entry in lists):
        return "a list is missing"
    initial, final, relevant = ([str(name) for name in entry] for entry in lists if entry is not None)
    if len(set(final)) != len(final) or set(final) != set(initial):
        return "the order is no permutation of the list"
    return "" if set(relevant) & set(final) else "nothing relevant in the list"


def _agreement(records: Sequence[Record]) -> dict[str, float]:
    """nDCG@10 of each record without a flaw, by its place."""
    sound = {str(place): record for place, record in enumerate(records) if not _flaw(record)}
    if not sound:
        return {}
    qrels = {place: {str(name): 1 for name in record["relevant_docids"]} for place, record in sound.items()}
    orders = {place: [str(name) for name in record["final_list"]] for place, record in sound.items()}
    return measure(qrels, by_place(orders), ["nDCG@10"]).by_query["nDCG@10"]
