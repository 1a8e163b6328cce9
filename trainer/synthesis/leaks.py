"""Test sets are kept out of training: their queries, and their documents, the same or nearly so.

What is near is said in `near`. A document is compared as a whole: a passage that was cut out of a test set's longer
document is not found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from es_reasonrank.errors import DataError
from es_reasonrank.evaluation.runs import read_qrels, read_queries
from es_reasonrank.validation import Checked
from trainer.synthesis.material import Material, Query, content, read_corpus
from trainer.synthesis.near import LEAST, Match, Near


class HeldOut(Checked):
    """A test set: a folder in BEIR's layout, or a JSON Lines file of queries."""

    path: Path = Field(description="The folder, whose queries are those of qrels/test.tsv, or the file.")
    documents: Literal["relevant", "all", "none"] = Field(
        "relevant",
        description="Which of its documents are kept out: those judged relevant, all of its corpus, or none, where "
        "training and test share their corpus by design. Of a file, none.",
    )


class LeakOptions(Checked):
    """What must not be trained on."""

    sets: tuple[HeldOut, ...] = Field((), description="The test sets.")
    near: float = Field(LEAST, gt=0, le=1, description="Least similarity of two texts that counts as a leak.")


@dataclass(frozen=True)
class Removed:
    """Something that was kept out, and why."""

    dataset: str
    what: Literal["query", "document"]
    id: str
    set: str
    of: str
    """The test set's own query or document."""
    how: str
    similarity: float

    def row(self) -> dict[str, Any]:
        """A line of the report."""
        return asdict(self) | {"similarity": round(self.similarity, 4)}


class Guard:
    """Knows the test sets' texts.

    Raises:
        DataError: a test set cannot be read, or has no queries.
    """

    def __init__(self, options: LeakOptions) -> None:
        queries: dict[str, str] = {}
        documents: dict[str, str] = {}
        for held_out in options.sets:
            own_queries, own_documents = _texts(held_out)
            queries |= {f"{held_out.path}\n{name}": text for name, text in own_queries.items()}
            documents |= {f"{held_out.path}\n{name}": text for name, text in own_documents.items()}
        self._queries = Near(queries, least=options.near)
        self._documents = Near(documents, least=options.near)

    def query(self, dataset: str, query: Query) -> Removed | None:
        """Why a query must be kept out, if it must."""
        return _removed(dataset, "query", query.id, self._queries.best(query.text))

    def cleaned(self, dataset: str, material: Material) -> tuple[Material, list[Removed]]:
        """The material without what leaks, and what that was.

        A query that loses its last relevant document is left out too, and so is a finished list that loses one.
        """
        found = (
            _removed(dataset, "document", name, self._documents.best(content(text)))
            for name, text in material.corpus.items()
        )
        documents = {removed.id: removed for removed in found if removed}
        queries = [removed for query in material.queries if (removed := self.query(dataset, query))]
        leaked = {removed.id for removed in queries}
        kept, left_out = [], Counter(material.left_out)
        for query in material.queries:
            clean = _without(query, documents)
            if query.id in leaked:
                continue
            if clean is None:
                left_out["its documents leak"] += 1
            else:
                kept.append(clean)
        rest = {name: text for name, text in material.corpus.items() if name not in documents}
        unasked = tuple(name for name in material.unasked if name in rest)
        clean_material = replace(material, queries=tuple(kept), corpus=rest, unasked=unasked, left_out=left_out)
        return clean_material, [*queries, *documents.values()]


def _without(query: Query, documents: Mapping[str, Removed]) -> Query | None:
    """The query without some documents; None where it cannot do without them."""
    grades = {name: grade for name, grade in query.grades.items() if name not in documents}
    pool = tuple(name for name in query.pool if name not in documents)
    clean = replace(query, grades=grades, pool=pool)
    spoiled = query.order and len(pool) < len(query.pool)
    return None if spoiled or (query.relevant and not clean.relevant) else clean


def _removed(dataset: str, what: Literal["query", "document"], name: str, match: Match | None) -> Removed | None:
    if match is None:
        return None
    path, _, own = match.id.partition("\n")
    return Removed(dataset, what, name, path, own, match.how, match.similarity)


def _texts(held_out: HeldOut) -> tuple[dict[str, str], dict[str, str]]:
    """Queries and documents of a test set."""
    path = held_out.path
    if path.is_file():
        return read_queries(path), {}
    judged = path / "qrels" / "test.tsv"
    if not judged.is_file():
        raise DataError("is no test set: it has no qrels/test.tsv, and is no file of queries", path=str(path))
    qrels = read_qrels(judged)
    queries = {name: text for name, text in read_queries(path / "queries.jsonl").items() if name in qrels}
    if not queries:
        raise DataError("no query of qrels/test.tsv is in queries.jsonl", path=str(path))
    if held_out.documents == "none":
        return queries, {}
    relevant = {name for grades in qrels.values() for name, grade in grades.items() if grade > 0}
    every = held_out.documents == "all"
    corpus = read_corpus(path)
    return queries, {name: content(text) for name, text in corpus.items() if every or name in relevant}


def summary(removed: Sequence[Removed]) -> dict[str, dict[str, int]]:
    """How many queries and documents each test set kept out, by how they were found."""
    counts: dict[str, Counter[str]] = {}
    for each in removed:
        counts.setdefault(each.set, Counter())[f"{each.how} {each.what}"] += 1
    return {name: dict(sorted(found.items())) for name, found in sorted(counts.items())}
