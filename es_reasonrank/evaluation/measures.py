"""Measures under the names of ir_measures, and a paired test of the difference between two runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from es_reasonrank.errors import SettingsError
from es_reasonrank.evaluation.runs import Qrels

DEFAULT = ("nDCG@10", "RR@10", "R@100", "Judged@10")

Scores = Mapping[str, Mapping[str, float]]
"""The documents of each query with their scores; a higher score stands first."""


@dataclass(frozen=True)
class Measured:
    """One run's values: the mean of each measure over the judged queries, and each query's own."""

    means: dict[str, float]
    by_query: dict[str, dict[str, float]]


def by_place(rankings: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
    """Rankings, best first, as scores: n - place."""
    return {
        query: {document: float(len(documents) - place) for place, document in enumerate(documents)}
        for query, documents in rankings.items()
    }


def measure(qrels: Qrels, scores: Scores, names: Iterable[str] = DEFAULT) -> Measured:
    """Measure rankings against judgments. A judged query without a ranking counts as 0.

    Equal scores are ordered as trec_eval does, by descending document id.

    Raises:
        SettingsError: a measure's name is unknown.
    """
    import ir_measures

    wanted = [parsed(name) for name in names]
    values: dict[str, dict[str, float]] = {str(name): dict.fromkeys(qrels, 0.0) for name in wanted}
    for value in ir_measures.iter_calc(wanted, qrels, scores):
        values[str(value.measure)][value.query_id] = value.value
    means = {name: sum(queries.values()) / len(queries) for name, queries in values.items()}
    return Measured(means, values)


def parsed(name: str) -> Any:
    """The measure of that name.

    Raises:
        SettingsError: ir_measures does not know it.
    """
    import ir_measures

    try:
        return ir_measures.parse_measure(name)
    except (ValueError, NameError, SyntaxError) as error:
        raise SettingsError(
            f"unknown measure {name!r}; write it as ir_measures does: nDCG@10, RR@10, R@100, Judged@10"
        ) from error


def paired_p(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    """Two-sided p of Student's paired t-test over the queries that both hold; 1.0 where nothing differs."""
    from scipy import stats

    queries = sorted(first.keys() & second.keys())
    deltas = [second[query] - first[query] for query in queries]
    if len(deltas) < 2 or not any(deltas):
        return 1.0
    if len(set(deltas)) == 1:
        return 0.0
    return float(stats.ttest_1samp(deltas, 0.0).pvalue)
