"""The engine of judges that ask no model."""

from __future__ import annotations

from typing import ClassVar

from es_reasonrank.engines.base import Capability
from es_reasonrank.validation import Checked


class NoneOptions(Checked):
    """Nothing to set."""


class NoneEngine:
    """Offers nothing and needs nothing."""

    options_model: ClassVar = NoneOptions
    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    model: ClassVar = "none"

    def __init__(self, options: NoneOptions) -> None:
        self.options = options

    async def identity(self) -> str:
        """The name: there are no weights."""
        return self.model

    async def start(self) -> None:
        """There is nothing to load."""

    async def aclose(self) -> None:
        """There is nothing to free."""
