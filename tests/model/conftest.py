"""What the engines' tests share."""

from __future__ import annotations

import pytest

from es_reasonrank.engines.embedded import resolve
from tests.model.contract import MODEL, Reference, referring


@pytest.fixture(scope="session")
def reference() -> Reference:
    """The embedded model's own log-probabilities."""
    return referring(resolve(MODEL))
