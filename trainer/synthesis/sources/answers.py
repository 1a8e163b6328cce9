"""Questions with their accepted answers: the answer is the gold, and all answers, cut into passages, are the corpus.

Source: the complex-QA part of ReasonRank's data (2508.07050, section 4.1) selects passages by an accepted answer. It
crawls the pages that an answer links to; here, the answers themselves are the documents.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from es_reasonrank.evaluation.runs import Text
from trainer.synthesis.material import Material, Query
from trainer.synthesis.near import normalised
from trainer.synthesis.sources.base import Connect, FileSource, name_of, rows, usable, values

_SENTENCE = re.compile(r"(?<=[.!?])\s+")


class AnswersSource(FileSource):
    """A file with a question and its answer a row. The passages of a question's own answers count as relevant."""

    kind: Literal["answers"]
    question: str = Field("question", description="The key of a question.")
    answer: str = Field("answer", description="The key of its answer.")
    words: int = Field(150, ge=10, description="Words of a passage, about; answers are cut between sentences.")

    async def load(self, connect: Connect) -> Material:
        """Questions of the same words are one, with all their answers.

        Raises:
            DataError: the file is empty, or a row knows no such keys.
        """
        corpus: dict[str, Text] = {}
        asked: dict[str, list[str]] = {}
        texts, answers, left_out = dict[str, str](), dict[str, list[str]](), Counter[str]()
        for number, row in enumerate(rows(self.path), start=1):
            question, answer = values(row, (self.question, self.answer), path=self.path, number=number)
            key, name = normalised(question), name_of(row, number)
            if not key or not answer:
                left_out["no question or no answer"] += 1
                continue
            pieces = {f"{name}#{place}": Text("", text) for place, text in enumerate(passages(answer, self.words))}
            corpus |= pieces
            texts.setdefault(key, question)
            asked.setdefault(key, []).extend(pieces)
            answers.setdefault(key, []).append(answer)
        queries = [
            Query(names[0].rpartition("#")[0], texts[key], dict.fromkeys(names, 1), "\n\n".join(answers[key]))
            for key, names in asked.items()
        ]
        return Material(usable(queries, path=self.path, why_not="no answers"), corpus, left_out=left_out)


def passages(text: str, words: int) -> Iterator[str]:
    """A text's paragraphs, packed into pieces of about so many words; a long one is cut between sentences.

    >>> list(passages("One two. Three four five. Six.", 4))
    ['One two.', 'Three four five. Six.']
    """
    piece: list[str] = []
    for sentence in (part for paragraph in re.split(r"\n\s*\n", text) for part in _SENTENCE.split(paragraph.strip())):
        if piece and sum(len(part.split()) for part in piece) + len(sentence.split()) > words:
            yield " ".join(piece)
            piece = []
        piece.append(sentence)
    if piece:
        yield " ".join(piece)
