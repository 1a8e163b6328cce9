"""What an engine is: it turns messages into text, or texts into vectors. It knows nothing of ranking.

An engine takes one request at a time from as many callers as there are, and batches them as it likes: queries never
wait for one another. Its class is found by name through the entry point group `es_reasonrank.engines`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Literal, Protocol, TypedDict, runtime_checkable

from pydantic import Field

from es_reasonrank.validation import Checked


class Message(TypedDict):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


class Sampling(Checked):
    """How tokens are drawn. The default is greedy."""

    temperature: float = Field(0.0, ge=0, description="0 takes the likeliest token.")
    top_p: float = Field(1.0, gt=0, le=1, description="Likeliest tokens that together have this probability.")
    top_k: int = Field(0, ge=0, description="So many of the likeliest tokens; 0 means no limit.")
    min_p: float = Field(0.0, ge=0, le=1, description="Least probability, as a share of the likeliest token's.")
    seed: int | None = Field(None, description="Makes drawing repeatable.")


class Finish(StrEnum):
    """Why generation ended."""

    STOP = "stop"
    LENGTH = "length"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Request:
    """One generation. `prefix` is text that the assistant's turn already begins with; the reply does not repeat it."""

    messages: tuple[Message, ...]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    prefix: str = ""
    chat_options: Mapping[str, Any] = field(default_factory=dict)
    """Passed to the chat template: enable_thinking, say."""
    permutation: tuple[str, ...] = ()
    """Where it is set, the reply is held to these texts, each once, in an order of the model's, joined by " > "."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back. `reasoning` is set where the server separates it; a stop string may be left out of `text`."""

    text: str
    finish: Finish
    reasoning: str = ""
    prompt_tokens: int = 0
    generated_tokens: int = 0


@dataclass(frozen=True, slots=True)
class NextToken:
    """How likely each of some texts is as the very next token: natural logarithms, over the whole vocabulary."""

    logprobs: tuple[float, ...]
    prompt_tokens: int = 0
    generated_tokens: int = 1


@dataclass(frozen=True, slots=True)
class Similarity:
    """One score a text, higher is nearer, and the tokens that were read for them."""

    scores: tuple[float, ...]
    tokens: int = 0


class Capability(StrEnum):
    """What an engine can be asked for."""

    TEXT = "text"
    """It generates text."""
    CONTINUATION = "continuation"
    """It goes on from a reply that was begun (`Request.prefix`)."""
    LOGPROBS = "logprobs"
    """It tells how likely given tokens are as the next one."""
    PERMUTATIONS = "permutations"
    """It holds a reply to a permutation of given texts."""
    VECTORS = "vectors"
    """It scores texts against a query."""


TEXTUAL = frozenset(Capability) - {Capability.VECTORS}
"""All that an engine which generates text can offer."""


@runtime_checkable
class Engine(Protocol):
    """What all engines share."""

    options_model: ClassVar[type[Checked]]

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this engine can, as its options have it; known before it is started."""

    @property
    def model(self) -> str:
        """The model's name, for traces and run files."""

    async def identity(self) -> str:
        """What the weights are: another text wherever an answer could be another."""

    async def start(self) -> None:
        """Load what is needed; without it, the first request does.

        Raises:
            MissingError: the model, or a package that runs it, is not there.
            EngineError: it is there, but cannot be loaded.
        """

    async def aclose(self) -> None:
        """Free what the engine holds. It may be called twice."""


@runtime_checkable
class TextEngine(Engine, Protocol):
    """An engine that generates text."""

    async def context(self) -> int:
        """Tokens that a prompt and its reply may have together."""

    async def control_tokens(self) -> frozenset[str]:
        """Texts that the tokenizer would read as control tokens, where it is known."""

    async def cut(self, texts: Sequence[str], limit: int) -> list[str]:
        """Each text's longest beginning of at most `limit` of the model's own tokens."""

    async def count(self, request: Request) -> int:
        """Tokens of the request's prompt, chat template included."""

    async def generate(self, request: Request) -> Completion:
        """Generate one reply.

        Raises:
            EngineError: the engine failed; no text of a failure is ever returned as a reply.
        """

    async def next_token(self, request: Request, choices: Sequence[str]) -> NextToken:
        """How likely each choice is as the token that follows the prompt and `request.prefix`; nothing is sampled.

        Raises:
            EngineError: the engine failed or cannot tell, or a choice is not a single token of the model.
        """


@runtime_checkable
class VectorEngine(Engine, Protocol):
    """An engine that scores texts against a query by vectors."""

    async def similarity(self, query: str, texts: Sequence[str]) -> Similarity:
        """How near each text is to the query.

        Raises:
            EngineError: the engine failed.
        """
