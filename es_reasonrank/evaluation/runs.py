"""TREC runs and judgments: read with line numbers in every complaint, written so that evaluators agree on the order.

A run's line is `query Q0 document rank score tag`, a judgment's `query 0 document grade`; judgments may also be BEIR's
three columns under a header. Evaluators sort by score, so a run is written with score = n - rank.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from es_reasonrank.errors import DataError
from es_reasonrank.files import json_lines, replacing, text_lines


class Scored(NamedTuple):
    """One retrieved document."""

    id: str
    score: float


Run = dict[str, list[Scored]]
"""The retrieved documents of each query, best first."""

Qrels = dict[str, dict[str, int]]
"""The judged documents of each query with their grades."""

_RUN_COLUMNS = 6
_QRELS_COLUMNS = 4
_BEIR_COLUMNS = 3


def read_run(path: Path) -> Run:
    """A TREC run, each query's documents by descending score; equal scores keep the file's order.

    Raises:
        DataError: a line has not six columns, a score is no number, or a document stands twice under a query.
    """
    run: Run = {}
    seen: set[tuple[str, str]] = set()
    for number, line in text_lines(path):
        columns = line.split()
        if len(columns) != _RUN_COLUMNS:
            raise DataError(
                f"a run's line has six columns (query Q0 document rank score tag), and this one has {len(columns)}"
                + ("; a document id must not hold a space" if len(columns) > _RUN_COLUMNS else ""),
                path=str(path),
                line=number,
            )
        query, _, document, _, score, _ = columns
        if (query, document) in seen:
            raise DataError(f"document {document} stands twice under query {query}", path=str(path), line=number)
        seen.add((query, document))
        run.setdefault(query, []).append(Scored(document, _number(score, path, number)))
    for hits in run.values():
        hits.sort(key=lambda hit: -hit.score)
    return run


def write_run(path: Path, rankings: Mapping[str, Iterable[str]], *, tag: str) -> None:
    """Write each query's documents, best first, as a TREC run; whole or not at all.

    Raises:
        DataError: an id holds white space, which a run cannot carry.
    """
    with replacing(path) as file:
        for query, documents in rankings.items():
            listed = list(documents)
            for rank, document in enumerate(listed, start=1):
                for name in (query, document, tag):
                    if not name or name.split() != [name]:
                        raise DataError(
                            f"id {name!r} is empty or holds a space, which a run cannot carry", path=str(path)
                        )
                file.write(f"{query} Q0 {document} {rank} {len(listed) - rank + 1} {tag}\n")


def read_qrels(path: Path) -> Qrels:
    """Judgments: TREC's four columns, or BEIR's three under a header.

    Raises:
        DataError: a line is of neither form, or a grade is no whole number.
    """
    qrels: Qrels = {}
    for number, line in text_lines(path):
        columns = line.split("\t") if "\t" in line else line.split()
        if len(columns) not in (_QRELS_COLUMNS, _BEIR_COLUMNS):
            raise DataError(
                f"judgments have four columns (query 0 document grade) or three, and this line has {len(columns)}",
                path=str(path),
                line=number,
            )
        if number == 1 and not _is_grade(columns[-1]):
            continue
        if not _is_grade(columns[-1]):
            raise DataError(f"grade {columns[-1]!r} is no whole number", path=str(path), line=number)
        qrels.setdefault(columns[0].strip(), {})[columns[-2].strip()] = int(columns[-1])
    if not qrels:
        raise DataError("holds no judgments", path=str(path))
    return qrels


def read_queries(path: Path) -> dict[str, str]:
    """Queries by id, from JSON Lines with `_id` or `id`, and `text` or `query`.

    Raises:
        DataError: a query has no id or no text, or an id has two texts.
    """
    queries: dict[str, str] = {}
    for number, row in json_lines(path):
        name, text = _first(row, "_id", "id", "query_id", "qid"), _first(row, "text", "query")
        if not name or not text:
            raise DataError('a query needs "_id" and "text"', path=str(path), line=number)
        if queries.get(name, text) != text:
            raise DataError(f"query id {name} stands twice, with two texts", path=str(path), line=number)
        queries[name] = text
    if not queries:
        raise DataError("holds no queries", path=str(path))
    return queries


class Text(NamedTuple):
    """A document's title and text."""

    title: str
    text: str


def read_texts(path: Path, wanted: set[str]) -> dict[str, Text]:
    """Title and text of the wanted documents, from a corpus in JSON Lines; the others are passed over.

    Raises:
        DataError: a wanted document is not there.
    """
    texts: dict[str, Text] = {}
    for _, row in json_lines(path):
        name = _first(row, "_id", "id", "docid", "doc_id")
        if name in wanted:
            text = _first(row, "text", "body", "contents", "content", "passage", "segment")
            texts[name] = Text(_first(row, "title"), text)
    missing = sorted(wanted - texts.keys())
    if missing:
        raise DataError(
            f"{len(missing)} of {len(wanted)} documents of the run are not in this corpus, the first is {missing[0]!r}",
            path=str(path),
        )
    return texts


def write_metadata(run: Path, metadata: Mapping[str, Any]) -> Path:
    """Write what a run was made with beside it, as RUN.meta.json: a run's own format has no place for it."""
    path = run.with_name(run.name + ".meta.json")
    with replacing(path) as file:
        json.dump(metadata, file, ensure_ascii=False, indent=2, default=str)
        file.write("\n")
    return path


def _first(row: Mapping[str, Any], *names: str) -> str:
    return next((str(row[name]) for name in names if row.get(name) not in (None, "")), "")


def _number(text: str, path: Path, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"score {text!r} is no number", path=str(path), line=line)
    return value


def _is_grade(text: str) -> bool:
    return text.strip().removeprefix("-").isdecimal()


def scores_of(run: Run) -> dict[str, dict[str, float]]:
    """A run as scores by document."""
    return {query: {hit.id: hit.score for hit in hits} for query, hits in run.items()}
