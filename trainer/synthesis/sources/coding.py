"""Coding problems with solutions: a problem asks for other problems that are solved in the same way.

Source: the LeetCode part of ReasonRank's data (2508.07050, appendix B.1): its corpus is problems with their solutions.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from pydantic import Field

from es_reasonrank.evaluation.runs import Text
from trainer.synthesis.material import Material, Query
from trainer.synthesis.sources.base import Connect, FileSource, name_of, rows, usable, values

_CRITERION = "it explains syntax that the solution needs, or is solved by the same algorithm or data structure"


class CodingSource(FileSource):
    """A file with a problem and its solution a row; the teacher selects what is relevant."""

    kind: Literal["coding"]
    problem: str = Field("statement", description="The key of a problem's text.")
    solution: str = Field("solution_py", description="The key of its solution.")
    skip: str = Field("bright_query", description="Rows where this key is true are left out: queries of a test set.")

    async def load(self, connect: Connect) -> Material:
        """Every problem is a document, with its solution, and a query whose own document must not be found.

        Raises:
            DataError: the file is empty, no row can be used, or one knows no such keys.
        """
        corpus, queries, left_out = dict[str, Text](), [], Counter[str]()
        for number, row in enumerate(rows(self.path), start=1):
            problem, code = values(row, (self.problem, self.solution), path=self.path, number=number)
            if row.get(self.skip) or not problem or not code:
                left_out[f"marked {self.skip}" if row.get(self.skip) else "no problem or no solution"] += 1
                continue
            name = name_of(row, number)
            corpus[name] = Text(str(row.get("title") or ""), f"{problem}\n\n{code}")
            gold = "\n\n".join(filter(None, (code, str(row.get("explanation") or ""))))
            queries.append(Query(name, problem, gold=gold, excluded=frozenset({name})))
        known = usable(queries, path=self.path, why_not="no solutions, or all are of a test set")
        return Material(known, corpus, _CRITERION, left_out=left_out)
