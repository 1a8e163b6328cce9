"""What the trainer's tests share."""

from __future__ import annotations

import pytest

from tests.model.untrained import untrained


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of two narrow layers that nobody trained, where it does not matter what a model has learned."""
    return untrained(tmp_path_factory.mktemp("small"), layers=2)
