"""Texts that are the same but for case, punctuation or a few words.

Two texts are near where the Jaccard similarity of their shingles, single words and pairs of neighbours, is at least
0.7: about one word in ten may differ. Which pairs are compared at all follows from prefix filtering (Bayardo et al.,
WWW 2007, section 3.2), which misses none.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

LEAST = 0.7
_WORD = re.compile(r"[^\W_]+")
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Match:
    """A text that another is the same as, or near."""

    id: str
    similarity: float
    """Jaccard similarity of the shingles."""
    exact: bool
    """Whether the texts have the same words in the same order."""

    @property
    def how(self) -> str:
        """In a word: exact, or near."""
        return "exact" if self.exact else "near"


def normalised(text: str) -> str:
    """A text's words alone, in lower case and joined by spaces.

    >>> normalised("Why is the SKY blue?!")
    'why is the sky blue'
    """
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def shingles(text: str) -> frozenset[str]:
    """Single words and pairs of neighbours of a normalised text.

    >>> sorted(shingles("blue sky"))
    ['blue', 'blue sky', 'sky']
    """
    words = text.split()
    return frozenset(words) | frozenset(f"{first} {second}" for first, second in pairwise(words))


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    """What both hold as a share of what either holds, from 0 to 1."""
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared) if shared else 0.0


class Near:
    """Finds which of some texts another is near.

    Args:
        texts: by id; the first of equal ones is the one that is found.
        least: the least similarity that counts, above 0.
    """

    def __init__(self, texts: Mapping[str, str], *, least: float = LEAST) -> None:
        self._least = least
        self._same: dict[str, str] = {}
        for name, text in texts.items():
            self._same.setdefault(normalised(text), name)
        self._same.pop("", None)
        self._sets = {name: shingles(text) for text, name in self._same.items()}
        self._common = Counter(shingle for each in self._sets.values() for shingle in each)
        self._holding: dict[str, list[str]] = {}
        for name, each in self._sets.items():
            for shingle in self._prefix(each):
                self._holding.setdefault(shingle, []).append(name)

    def matches(self, text: str) -> list[Match]:
        """Every text that this one is near, the nearest first."""
        if not self._same:
            return []
        plain = normalised(text)
        own, same = shingles(plain), self._same.get(plain)
        names = {name for shingle in self._prefix(own) for name in self._holding.get(shingle, ())}
        found = [Match(name, jaccard(own, self._sets[name]), name == same) for name in sorted(names)]
        kept = [match for match in found if match.similarity >= self._least - _ROUNDING]
        return sorted(kept, key=lambda match: (not match.exact, -match.similarity))

    def best(self, text: str) -> Match | None:
        """The text that this one is nearest."""
        return next(iter(self.matches(text)), None)

    def _prefix(self, own: frozenset[str]) -> list[str]:
        """The rarest shingles of a text: one that is near enough must hold one of them among its own rarest."""
        size = len(own) - math.ceil(self._least * len(own) - _ROUNDING) + 1 if own else 0
        return sorted(own, key=lambda shingle: (self._common[shingle], shingle))[:size]
