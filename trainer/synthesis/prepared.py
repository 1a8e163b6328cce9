"""A source made ready for a teacher: loaded, without leaks, and with what searches find for each query.

What takes long is kept in the source's folder: vectors piece by piece, and candidates in a journal.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Self

from es_reasonrank.batch.journal import Journal
from es_reasonrank.errors import DataError
from es_reasonrank.files import write_json_lines
from trainer.stages import Work
from trainer.synthesis.candidates import CandidateOptions, Pool
from trainer.synthesis.leaks import Guard, Removed
from trainer.synthesis.material import Material, Query
from trainer.synthesis.search import Bm25, pools
from trainer.synthesis.similarity import Encoder, Vectors
from trainer.synthesis.sources.base import Connect, Source

_AT_A_TIME = 256
"""Queries whose candidates are searched for and then kept."""
_INDEX = "es-reasonrank-synthesis-"


@dataclass(frozen=True)
class Shared:
    """What all sources of a run share."""

    work: Work
    options: CandidateOptions
    seed: int
    guard: Guard
    encoder: Encoder
    connect: Connect


@dataclass
class Prepared:
    """One source, ready."""

    dataset: str
    folder: Path
    shared: Shared
    material: Material
    """What is taken of it."""
    removed: list[Removed]
    """What leaks."""
    pools: dict[str, Pool] = field(default_factory=dict)
    """What searches find, by query."""
    bm25: Bm25 | None = None

    @classmethod
    async def of(cls, source: Source, folder: Path, shared: Shared) -> Self:
        """Load a source, keep leaks out, draw what is taken, and search for it.

        Raises:
            DataError: the source is wrong, or nothing is left of it.
            ElasticError: the server failed.
        """
        name = source.dataset
        shared.work.say(f"{name}: loading")
        whole, removed = shared.guard.cleaned(name, _each_once(await source.load(shared.connect)))
        drawn = f"{shared.seed} {name}"
        queries, unasked = source.taken(whole.queries, drawn), source.taken(whole.unasked, drawn)
        if not queries and not unasked:
            why = f"{len(removed)} of its queries and documents are in test sets" if removed else "it has none"
            raise DataError(f"no query is left to learn from: {why}", path=name)
        ready = cls(name, folder, shared, replace(whole, queries=tuple(queries), unasked=tuple(unasked)), removed)
        await ready._search()
        return ready

    @cached_property
    def mark(self) -> str:
        """Of the documents: what they are kept under."""
        return _digest(*(part for name, text in self.material.corpus.items() for part in (name, *text)))

    @cached_property
    def vectors(self) -> Vectors:
        """The documents as vectors."""
        work = self.shared.work

        def progress(done: int, total: int) -> None:
            work.say(f"{self.dataset}: {done:,} of {total:,} documents embedded")
            work.progress(done, total, {})

        return Vectors(self.shared.encoder, self.material.corpus, self._vectors_folder, progress)

    async def find(self, queries: Sequence[Query]) -> dict[str, Pool]:
        """What searches find for queries.

        Raises:
            ElasticError: the server failed.
        """
        options = self.shared.options
        return await pools(queries, options, self.bm25, self.vectors if options.embeddings else None)

    async def close(self) -> None:
        """Leave nothing behind that the finished lists do not need."""
        await self._unindex()
        for path in (self._corpus_file, self._pools_file):
            path.unlink(missing_ok=True)
        shutil.rmtree(self._vectors_folder, ignore_errors=True)

    async def _search(self) -> None:
        """Candidates of every query: those that were found before a kill, and the others."""
        options, work = self.shared.options, self.shared.work
        queries = [query for query in self.material.queries if not query.order]
        with Journal(self._pools_file, _digest(self.mark, options.model_dump_json())) as journal:
            found = {row["key"]: Pool(tuple(row["bm25"]), tuple(row["embedding"])) for row in journal.rows}
            missing = [query for query in queries if _key(query) not in found]
            if options.bm25 and (self.material.unasked or not all(query.pool for query in missing)):
                self.bm25 = await self._indexed()
            for start in range(0, len(missing), _AT_A_TIME):
                part = missing[start : start + _AT_A_TIME]
                pools = await self.find(part)
                for query in part:
                    pool = found[_key(query)] = pools[query.id]
                    journal.add({"key": _key(query), "bm25": pool.bm25, "embedding": pool.embedding})
                work.progress(start + len(part), len(missing), {})
        self.pools = {query.id: found[_key(query)] for query in queries}
        if not self.material.unasked:
            await self._unindex()
        work.say(f"{self.dataset}: {len(self.material.queries):,} queries, {len(self.material.corpus):,} documents")

    async def _indexed(self) -> Bm25:
        corpus = self.material.corpus
        self.shared.work.say(f"{self.dataset}: indexing {len(corpus):,} documents")
        rows = ({"_id": name, "title": text.title, "text": text.text} for name, text in corpus.items())
        write_json_lines(self._corpus_file, rows)
        return await Bm25.over(await self.shared.connect(), self._corpus_file, f"{_INDEX}{self.mark}")

    async def _unindex(self) -> None:
        if self.bm25 is not None:
            await self.bm25.drop()
            self.bm25 = None

    @property
    def _vectors_folder(self) -> Path:
        return self.folder / f"vectors-{self.mark}"

    @property
    def _corpus_file(self) -> Path:
        return self.folder / "corpus.jsonl"

    @property
    def _pools_file(self) -> Path:
        return self.folder / "pools.jsonl"


def _each_once(material: Material) -> Material:
    """The material with the first query of every id."""
    queries = {query.id: query for query in reversed(material.queries)}
    left_out = Counter(material.left_out)
    left_out["a second query of its id"] = len(material.queries) - len(queries)
    return replace(material, queries=tuple(reversed(queries.values())), left_out=+left_out)


def _key(query: Query) -> str:
    """What a query's candidates are kept under: all that they follow from, besides the documents."""
    return _digest(query.id, query.text, *query.pool, *sorted(query.excluded))


def _digest(*parts: str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(json.dumps(part).encode() + b"\n")
    return digest.hexdigest()[:16]
