"""What judgments are called in their index: whoever writes the same judgment again replaces it."""

from __future__ import annotations

import hashlib
import json

SOURCE = "human"
"""Who gave a rating, as against a model or a click."""


def query_id(query: str) -> str:
    """What a query that has only its text is called."""
    return hashlib.sha256(query.encode()).hexdigest()[:16]


def judgment_id(query: str, index: str, document: str, source: str) -> str:
    """The id of a judgment: a new one by the same source takes the place of the old."""
    return hashlib.sha256(json.dumps([query, index, document, source]).encode()).hexdigest()[:32]
