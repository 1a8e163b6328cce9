"""What a teacher is asked besides an order: YAML files of our own words, and what makes messages of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from pydantic import Field

from es_reasonrank.engines.base import Message
from es_reasonrank.validation import Checked, checked, read_yaml


class Prompt(Checked):
    """One prompt. Its words in braces are filled in."""

    system: str = Field("", description="The system message.")
    before: str = Field(description="What stands before the passages.")
    passage: str = Field("", description="One passage: {rank} and {text}.")
    behind: str = Field("", description="What stands behind the passages.")

    def messages(self, passages: Sequence[str] = (), **words: str) -> tuple[Message, ...]:
        """The chat about some passages, already neutral and cut."""
        rows = [self.passage.format(rank=rank, text=text) for rank, text in enumerate(passages, start=1)]
        user = self.before.format(**words) + "".join(rows) + self.behind.format(**words)
        return ({"role": "system", "content": self.system}, {"role": "user", "content": user})


@cache
def prompt(name: str) -> Prompt:
    """One of the package's prompts."""
    path = Path(str(resources.files(__package__) / f"{name}.yaml"))
    return checked(Prompt, read_yaml(path, what="prompt"), where=f"prompt {name}")
