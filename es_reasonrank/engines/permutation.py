"""Which tokens may come next in a reply that must be a permutation of given texts; engines mask their logits by it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

SEPARATOR = " > "


class Permutation:
    """A path through tokens: one of the texts, then the separator and another one, ..., the end.

    Args:
        first: the tokens of each text where it begins the reply.
        later: the tokens of the separator and each text, where it stands behind another one.
        end: the token that ends the reply.

    Raises:
        ValueError: one text's tokens are the beginning of another's, so that a path would be ambiguous.
    """

    def __init__(self, first: Sequence[Sequence[int]], later: Sequence[Sequence[int]], end: int) -> None:
        self.first = [tuple(text) for text in first]
        self.later = [tuple(text) for text in later]
        self.end = end
        for texts in (self.first, self.later):
            _check_distinct(texts)

    def allowed(self, generated: Sequence[int]) -> tuple[int, ...]:
        """The tokens that may follow those `generated` so far; only the end where they are no such path's beginning.

        >>> path = Permutation([(1, 2), (1, 3)], [(9, 1, 2), (9, 1, 3)], end=0)
        >>> [path.allowed(tokens) for tokens in ((), (1,), (1, 3), (1, 3, 9, 1), (1, 3, 9, 1, 2))]
        [(1,), (2, 3), (9,), (2,), (0,)]
        """
        place = 0
        left = dict(enumerate(self.first))
        while left:
            begun = tuple(generated[place:])
            taken = next((key for key, text in left.items() if begun[: len(text)] == text), None)
            if taken is None:
                fitting = (text[len(begun)] for text in left.values() if text[: len(begun)] == begun)
                return tuple(dict.fromkeys(fitting)) or (self.end,)
            place += len(left.pop(taken))
            left = {key: self.later[key] for key in left}
        return (self.end,)


def is_permutation(reply: str, texts: Iterable[str]) -> bool:
    """Whether a reply is a permutation of texts, whole and nothing else."""
    return sorted(reply.strip().split(SEPARATOR)) == sorted(texts)


def _check_distinct(texts: Sequence[tuple[int, ...]]) -> None:
    # In sorted order, a text stands directly before those that it begins.
    ordered = sorted(texts)
    if not all(texts) or any(after[: len(before)] == before for before, after in pairwise(ordered)):
        raise ValueError("the tokens of one text are the beginning of another's")
