"""Documents without queries: the teacher makes a query for some of them."""

from __future__ import annotations

from typing import Literal

from trainer.synthesis.material import Material, read_corpus
from trainer.synthesis.sources.base import Connect, FileSource


class DocumentsSource(FileSource):
    """A corpus; `limit` or `share` says for how many of its documents a query is made."""

    kind: Literal["documents"]

    async def load(self, connect: Connect) -> Material:
        """No queries yet.

        Raises:
            DataError: there are no documents.
        """
        corpus = read_corpus(self.path)
        return Material((), corpus, unasked=tuple(corpus))
