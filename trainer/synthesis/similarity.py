"""Nearness by embeddings: a corpus as vectors, kept on disk piece by piece, and searched as a whole.

sentence-transformers' `semantic_search` does the searching. Its `mine_hard_negatives` is not used here: it takes one
positive a query, and knows nothing of BM25, which a negative is to be high by as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from es_reasonrank.engines.embedded import resolve
from es_reasonrank.engines.tokens import quiet
from es_reasonrank.errors import MissingError
from es_reasonrank.evaluation.runs import Text
from trainer.synthesis.material import content

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PIECE = 1_024
"""Documents whose vectors stand in one file: what a kill can cost."""


class Encoder:
    """A bi-encoder, loaded at its first use."""

    def __init__(self, model: str) -> None:
        self.model = model

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, one row a text: (texts, dimensions).

        Raises:
            MissingError: the model, or the package that runs it, is not there.
        """
        vectors: NDArray[np.float32] = self._loaded.encode(
            list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return vectors

    @cached_property
    def _loaded(self) -> Any:
        try:
            quiet()
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingError("embeddings need a package; run: pip install sentence-transformers") from error
        try:
            return SentenceTransformer(resolve(self.model))
        except (OSError, ValueError, RuntimeError) as error:
            raise MissingError(f"{self.model} cannot be loaded: {str(error).splitlines()[0]}") from error


class Vectors:
    """A corpus as vectors, made at their first use.

    Args:
        folder: where finished pieces are kept; they must be this corpus' own.
        progress: told how many documents are done, of how many.
    """

    def __init__(
        self,
        encoder: Encoder,
        corpus: Mapping[str, Text],
        folder: Path,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self._encoder = encoder
        self._corpus = corpus
        self._folder = folder
        self._progress = progress
        self._names = list(corpus)

    def nearest(self, queries: Sequence[str], size: int) -> list[list[str]]:
        """The `size` nearest documents of each query, best first."""
        from sentence_transformers.util import semantic_search

        if not queries:
            return []
        found = semantic_search(self._encoder.encode(queries), self._matrix, top_k=min(size, len(self._names)))
        return [[self._names[int(hit["corpus_id"])] for hit in hits] for hits in found]

    def similarities(self, query: str, documents: Sequence[str]) -> list[float]:
        """The cosine of a query and each of some documents."""
        rows = self._matrix[[self._places[name] for name in documents]]
        return [float(value) for value in rows @ self._encoder.encode([query])[0]]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self._names)}

    @cached_property
    def _matrix(self) -> NDArray[np.float32]:
        """One row a document."""
        import numpy as np

        self._folder.mkdir(parents=True, exist_ok=True)
        pieces = []
        for start in range(0, len(self._names), _PIECE):
            names = self._names[start : start + _PIECE]
            path = self._folder / f"{start:09}.npy"
            if not path.is_file():
                draft = path.with_suffix(".tmp.npy")
                np.save(draft, self._encoder.encode([content(self._corpus[name]) for name in names]))
                draft.replace(path)
            pieces.append(np.load(path))
            self._progress(start + len(names), len(self._names))
        return np.concatenate(pieces)
