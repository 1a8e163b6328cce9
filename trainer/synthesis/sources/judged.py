"""A search team's own index, with the judgments index that the service fills: ratings, and clicks.

A rating is a grade as it stands, a person's before a model's. A click says that a document was seen and chosen, and
documents at the head are seen more often; so each click counts by the place that it was made at, to the power of
`eta`, bounded by `most_weight`: the inverse of an examination probability of place ** -eta, clipped (Joachims et al.,
1608.04468, section 5). A document becomes relevant (grade 1) where clicks of at least `least_clicks` searches are on
it and their weight is at least half of that of the query's most chosen document. Clicks never make a document
irrelevant, and never change a rating. What this cannot mend: a document that was never shown is never clicked.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from es_reasonrank.elastic.candidates import Candidates, fetch
from es_reasonrank.elastic.failures import mapped
from es_reasonrank.elastic.judgments import SOURCE, query_id
from es_reasonrank.elastic.search import Plan, plan
from es_reasonrank.errors import DataError
from es_reasonrank.evaluation.rollout_log import Broken, Searched, read
from es_reasonrank.evaluation.runs import Text
from es_reasonrank.validation import Checked
from trainer.synthesis.material import Material, Query
from trainer.synthesis.sources.base import Connect, SourceOptions

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

_PAGE = 1_000
_TRUSTED = ("model", SOURCE)
"""Who rates; the later one counts."""
_CLICK = "click"


class Clicks(Checked):
    """How clicks become grades."""

    eta: float = Field(1.0, ge=0, le=2, description="Power of a click's place; 0: every click counts the same.")
    most_weight: float = Field(10.0, ge=1, description="What one click counts at most.")
    least_clicks: int = Field(2, ge=1, description="Searches in which a document must have been clicked.")


class JudgedSource(SourceOptions):
    """Judged queries of an index; its documents are those that are judged or found for them."""

    kind: Literal["judged"]
    index: str = Field(description="The index, pattern or alias that was searched.")
    judgments: str = Field("es-reasonrank-judgments", description="The index that holds ratings and clicks.")
    fields: tuple[str, ...] = Field((), description="Fields that hold a document's text; title and body by default.")
    depth: int = Field(100, ge=1, description="Hits of a query that its list is made from.")
    clicks: Clicks | None = Field(Clicks(), description="How clicks become grades; null leaves them out.")
    logs: tuple[Path, ...] = Field((), description="Roll-out logs that tell the query of a click that names a search.")

    @property
    def dataset(self) -> str:
        """The name, else the index's."""
        return self.name or "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in self.index)

    async def load(self, connect: Connect) -> Material:
        """Every query with a grade above 0, with what its search finds.

        Raises:
            SearchError: there is no such index.
            DataError: not one query has a grade above 0.
        """
        client = await connect()
        grades = graded(await self._rows(client), _queries(self.logs), self.clicks)
        rated = {text: found for text, found in grades.items() if any(grade > 0 for grade in found.values())}
        if not rated:
            raise DataError("no query has a rating above 0 or enough clicks", path=f"index {self.judgments}")
        planned = await plan(client, self.index, self.fields)
        corpus, queries = dict[str, Text](), []
        for text, found in rated.items():
            hits, judged = await self._documents(client, planned, text, found)
            corpus |= hits | judged
            known = {name: grade for name, grade in found.items() if name in hits or name in judged}
            queries.append(Query(query_id(text), text, known, pool=tuple(hits)))
        kept = [query for query in queries if query.relevant]
        left_out = Counter({"no grade above 0": len(grades) - len(rated)})
        left_out["no positive in the index"] = len(queries) - len(kept)
        return Material(tuple(kept), corpus, left_out=+left_out)

    async def _rows(self, client: AsyncElasticsearch) -> list[Mapping[str, Any]]:
        """Every judgment on documents of the index, in the order of time; a click may not name its index."""
        from elasticsearch.helpers import async_scan

        with mapped(self.index):
            names = list((await client.indices.get_alias(index=self.index)).body)
        own = [{"terms": {"index": [self.index, *names]}}, {"bool": {"must_not": {"exists": {"field": "index"}}}}]
        with mapped(self.judgments):
            scan = async_scan(client, index=self.judgments, query={"query": {"bool": {"should": own}}}, size=_PAGE)
            found = [hit["_source"] async for hit in scan]
        return sorted(found, key=lambda row: (row.get("created", ""), row["document"], row.get("search", "")))

    async def _documents(
        self, client: AsyncElasticsearch, planned: Plan, query: str, judged: Iterable[str]
    ) -> tuple[dict[str, Text], dict[str, Text]]:
        """A query's hits, best first, and the judged documents that it does not find."""
        body = planned.body(query)
        hits = await fetch(client, self.index, body, query=query, depth=self.depth, source=planned.source)
        missing = sorted(set(judged) - {item.id for item in hits.items})
        if not missing:
            return _texts(hits), {}
        by_id = {"query": {"ids": {"values": missing}}}
        others = await fetch(client, self.index, by_id, query=query, depth=len(missing), source=planned.source)
        return _texts(hits), _texts(others)


def _texts(found: Candidates) -> dict[str, Text]:
    return {item.id: Text(item.title, item.text) for item in found.items if item.has_text}


def graded(
    rows: Iterable[Mapping[str, Any]], texts: Mapping[str, str], clicks: Clicks | None
) -> dict[str, dict[str, int]]:
    """The grades of each query's documents.

    Args:
        rows: judgments as their index has them.
        texts: queries by the id of their search, for clicks that name it alone.
        clicks: how clicks become grades.
    """
    rated: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    clicked: dict[str, dict[str, _Chosen]] = defaultdict(lambda: defaultdict(_Chosen))
    for place, row in enumerate(rows):
        text = str(row.get("query") or texts.get(row.get("search", ""), "")).strip()
        source, document = row.get("source"), str(row["document"])
        if not text:
            continue
        if source in _TRUSTED:
            new = (_TRUSTED.index(source), round(float(row["grade"])))
            if new[0] >= rated[text].get(document, new)[0]:
                rated[text][document] = new
        elif source == _CLICK and clicks is not None:
            clicked[text][document].add(str(row.get("search") or place), row.get("position") or 1, clicks)
    found: dict[str, dict[str, int]] = {}
    for text in dict.fromkeys([*clicked, *rated]):
        chosen = _chosen(clicked[text], clicks) if clicks is not None else {}
        found[text] = chosen | {document: grade for document, (_, grade) in rated[text].items()}
    return found


@dataclass
class _Chosen:
    """The clicks on one document for one query."""

    weight: float = 0.0
    searches: frozenset[str] = frozenset()

    def add(self, search: str, position: int, clicks: Clicks) -> None:
        """Count a click; a second one after the same search says nothing new."""
        if search not in self.searches:
            self.weight += min(float(position) ** clicks.eta, clicks.most_weight)
            self.searches |= {search}


def _chosen(documents: Mapping[str, _Chosen], clicks: Clicks) -> dict[str, int]:
    most = max((each.weight for each in documents.values()), default=0.0)
    return {
        name: 1
        for name, each in documents.items()
        if len(each.searches) >= clicks.least_clicks and 2 * each.weight >= most
    }


def _queries(logs: Sequence[Path]) -> dict[str, str]:
    """The queries of logged searches by their id."""
    return {entry.id: entry.query for entry in read(logs, Broken()) if isinstance(entry, Searched)}
