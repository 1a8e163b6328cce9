"""A set in BEIR's layout: corpus.jsonl, queries*.jsonl, qrels/SPLIT.tsv."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from pydantic import Field, field_validator

from es_reasonrank.errors import DataError
from es_reasonrank.evaluation.runs import read_qrels, read_queries
from trainer.synthesis.material import Material, Query, read_corpus
from trainer.synthesis.sources.base import Connect, FileSource


class BeirSource(FileSource):
    """Judged queries of one split."""

    kind: Literal["beir"]
    split: str = Field("train", description="Which judgments: train, dev...; never test.")

    @field_validator("split")
    @classmethod
    def _not_test(cls, value: str) -> str:
        if value.casefold().startswith("test"):
            raise ValueError("the test split is for measuring, never for training; name another one: train, say")
        return value

    async def load(self, connect: Connect) -> Material:
        """The queries that have a document of the corpus judged above 0.

        Raises:
            DataError: a file is missing or wrong, or no judgment is above 0.
        """
        judged = self.path / "qrels" / f"{self.split}.tsv"
        qrels, corpus = read_qrels(judged), read_corpus(self.path)
        if not any(grade > 0 for grades in qrels.values() for grade in grades.values()):
            raise DataError("no judgment is above 0, so there is nothing to rank first", path=str(judged))
        own = self.path / f"queries_{self.split}.jsonl"
        texts = read_queries(own if own.is_file() else self.path / "queries.jsonl")
        queries, left_out = [], Counter[str]()
        for name, grades in qrels.items():
            known = {document: grade for document, grade in grades.items() if document in corpus}
            query = Query(name, texts.get(name, ""), known)
            reason = "no text" if not query.text else "" if query.relevant else "no positive in the corpus"
            if reason:
                left_out[reason] += 1
            else:
                queries.append(query)
        return Material(tuple(queries), corpus, left_out=left_out)
