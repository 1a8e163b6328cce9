"""Math problems with solutions, and theorems or solved problems that a solution may rest on.

The format is our own: PATH holds rows of `_id`, `problem` and `solution`; CORPUS, theorems or solved problems with
`_id`, `title` and `text`. A document with a problem's id is that problem, and is kept out of its list.

Source: Math-QA and Math-Theorem of ReasonRank's data (2508.07050, appendix B.1).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

from pydantic import Field

from trainer.synthesis.material import Material, Query, read_corpus
from trainer.synthesis.sources.base import Connect, FileSource, name_of, rows, usable, values

_CRITERION = "it states a theorem that the solution applies, or is proved or solved by substantially the same steps"


class MathSource(FileSource):
    """Problems whose solutions tell the teacher which theorems they rest on."""

    kind: Literal["math"]
    corpus: Path = Field(description="Theorems or solved problems: JSON Lines with _id, title and text.")

    async def load(self, connect: Connect) -> Material:
        """Problems as queries.

        Raises:
            DataError: a file is empty, no row can be used, or one knows no such keys.
        """
        queries, left_out = [], Counter[str]()
        for number, row in enumerate(rows(self.path), start=1):
            problem, gold = values(row, ("problem", "solution"), path=self.path, number=number)
            if problem and gold:
                name = name_of(row, number)
                queries.append(Query(name, problem, gold=gold, excluded=frozenset({name})))
            else:
                left_out["no problem or no solution"] += 1
        known = usable(queries, path=self.path, why_not="no solutions")
        return Material(known, read_corpus(self.corpus), _CRITERION, left_out=left_out)
