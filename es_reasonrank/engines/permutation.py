"""Which tokens may come next in a reply that must be a permutation of given texts; engines mask their logits by it."""

from __future__ import annotations

from collections.abc import Sequence

SEPARATOR = " > "


class Permutation:
    """A path through tokens: one of the remaining texts, the separator, another one, ..., the end.

    Args:
        texts: the tokens of each text; none may be the beginning of another.
        separator: the tokens between two texts.
        end: the token that ends the reply.

    Raises:
        ValueError: one text's tokens are the beginning of another's, so that a path would be ambiguous.
    """

    def __init__(self, texts: Sequence[Sequence[int]], separator: Sequence[int], end: int) -> None:
        self.texts = [tuple(text) for text in texts]
        self.separator = tuple(separator)
        self.end = end
        for one in self.texts:
            if any(other is not one and other[: len(one)] == one for other in self.texts) or not one:
                raise ValueError("the tokens of one text are the beginning of another's")

    def allowed(self, generated: Sequence[int]) -> tuple[int, ...]:
        """The tokens that may follow those `generated` so far, which must be a beginning of a permutation.

        >>> path = Permutation([(1, 2), (1, 3)], separator=(9,), end=0)
        >>> [path.allowed(tokens) for tokens in ((), (1,), (1, 3), (1, 3, 9, 1), (1, 3, 9, 1, 2))]
        [(1,), (2, 3), (9,), (2,), (0,)]
        """
        left = dict(enumerate(self.texts))
        place = 0
        while left:
            taken = next(
                (key for key, text in left.items() if tuple(generated[place : place + len(text)]) == text), None
            )
            if taken is None:
                begun = tuple(generated[place:])
                fitting = (text[len(begun)] for text in left.values() if text[: len(begun)] == begun)
                return tuple(dict.fromkeys(fitting)) or (self.end,)
            place += len(left.pop(taken))
            joined = tuple(generated[place : place + len(self.separator)])
            if left and joined != self.separator:
                return (self.separator[len(joined)],)
            place += len(self.separator)
        return (self.end,)
