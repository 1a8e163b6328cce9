"""Any OpenAI-compatible server (vllm serve, SGLang, llama.cpp, a hosted API), or several of one model.

Passages are cut by the model's own tokens here too: by the server's /tokenize where it has one, else by the tokenizer
that the option `tokenizer` names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field, SecretStr, field_validator

from es_reasonrank.engines import chat
from es_reasonrank.engines.base import Capability, Completion, NextToken, Request
from es_reasonrank.engines.once import Once
from es_reasonrank.engines.remote_tokens import FileTokens, RemoteTokens, ServerTokens
from es_reasonrank.engines.servers import Json, Servers
from es_reasonrank.errors import EngineError, MissingError
from es_reasonrank.validation import Checked

_UNKNOWN_CONTEXT = 1 << 30
"""Where a server does not tell its context, prompts are not fitted; it answers with an error where one is too long."""
_OFFERED = {
    "vllm": frozenset({Capability.TEXT, Capability.CONTINUATION, Capability.LOGPROBS, Capability.PERMUTATIONS}),
    "openai": frozenset({Capability.TEXT}),
}


class OpenAIOptions(Checked):
    """Which servers, and how patient to be with them."""

    base_url: str | tuple[str, ...] = Field(
        "http://127.0.0.1:8000/v1",
        description="Address of the server, with or without /v1; several, as a list or with commas between them, where "
        "they serve the same model.",
    )
    model: str | None = Field(
        None, description="Model to ask for, a LoRA adapter's name too; the first one that the server names by default."
    )
    dialect: chat.Dialect = Field(
        "vllm",
        description="vllm: vllm serve, and what takes its fields. openai: any other server; it gives texts alone, "
        "drawn by temperature, top_p and seed, without chat options.",
    )
    api_key: SecretStr | None = Field(None, description="Sent as a bearer token.")
    tokenizer: str | None = Field(None, description="Tokenizer's name or path, where the server cannot tokenize.")
    context: int | None = Field(
        None, ge=1, description="Tokens of prompt and reply together, where the server does not tell."
    )
    timeout: float = Field(120.0, gt=0, description="Seconds that one reply may take.")
    attempts: int = Field(3, ge=1, description="Tries on overload (429), failure (5xx) and lost connections.")
    connections: int = Field(64, ge=1, description="Requests in flight at once, a server.")
    pause: float = Field(10.0, ge=0, description="Seconds that a server which failed is left alone for, beside others.")

    @field_validator("base_url")
    @classmethod
    def _addresses(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        roots = roots_of(value)
        wrong = [root for root in roots if not root.startswith(("http://", "https://"))]
        if wrong or not roots:
            raise ValueError("an address begins with http:// or https://")
        return value


@dataclass(frozen=True)
class _Served:
    model: str
    context: int
    weights: str
    """Where the servers have them from, as far as they tell."""
    tokens: RemoteTokens


class OpenAIEngine:
    """Asks the servers who they are at `start`, and then one completion a window.

    A reply that is held to a permutation has its form: so many identifiers, joined by " > ". That they differ cannot
    be held from outside the server; who reads the reply repairs it.
    """

    options_model: ClassVar = OpenAIOptions

    def __init__(self, options: OpenAIOptions) -> None:
        self.options = options
        key = options.api_key
        self._servers = Servers(
            roots_of(options.base_url),
            headers={"Authorization": f"Bearer {key.get_secret_value()}"} if key else {},
            timeout=options.timeout,
            attempts=options.attempts,
            connections=options.connections,
            pause=options.pause,
        )
        self._served: Once[_Served] = Once(self._meet)
        self._identity: Once[str] = Once(self._identify)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All but vectors of vLLM, texts alone of any other server."""
        return _OFFERED[self.options.dialect]

    @property
    def model(self) -> str:
        """The model that is asked for."""
        return self.options.model or ", ".join(self._servers.roots)

    async def identity(self) -> str:
        """The model's name with a mark of what the server tells: where the weights come from, and its fingerprint.

        Other weights under the same name, from the same place and at the same version of the server, cannot be seen
        from outside.
        """
        return await self._identity.get()

    async def start(self) -> None:
        """Ask every server for its models."""
        await self._served.get()

    async def context(self) -> int:
        """The option, else the least `max_model_len` of the servers."""
        return (await self._served.get()).context

    async def control_tokens(self) -> frozenset[str]:
        """Those of the named tokenizer; a server does not tell its own."""
        return (await self._served.get()).tokens.control_tokens

    async def cut(self, texts: Sequence[str], limit: int) -> list[str]:
        """By the server's or the named tokenizer."""
        return await (await self._served.get()).tokens.cut(texts, limit)

    async def count(self, request: Request) -> int:
        """By the server's or the named tokenizer."""
        return await (await self._served.get()).tokens.count(request)

    async def generate(self, request: Request) -> Completion:
        """One completion."""
        served = await self._served.get()
        call = chat.generation(request, self.options.dialect, await self._prompt(served, request))
        return chat.read_completion(await self._ask(served, call))

    async def next_token(self, request: Request, choices: Sequence[str]) -> NextToken:
        """One completion of one token, which is thrown away."""
        if self.options.dialect != "vllm":
            message = "only vLLM tells how likely given tokens are; where the server is vLLM, set engine.dialect=vllm"
            raise EngineError(message, engine="openai")
        served = await self._served.get()
        tokens = await served.tokens.singles(choices, request.prefix)
        call = chat.next_token(request, tokens, await self._prompt(served, request))
        return chat.read_next_token(await self._ask(served, call), tokens)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._servers.aclose()

    async def _ask(self, served: _Served, call: chat.Call) -> Json:
        return await self._servers.call("POST", call.path, {"model": served.model, **call.body})

    async def _prompt(self, served: _Served, request: Request) -> list[int] | None:
        """The prompt's tokens, where a reply goes on from a prefix and they can be known."""
        return await served.tokens.prompt(request) if request.prefix and self.options.dialect == "vllm" else None

    async def _meet(self) -> _Served:
        answers = await self._servers.call_each("GET", "/v1/models")
        cards = {root: _cards(answer) for root, answer in answers.items()}
        model = self.options.model or _common_model(cards)
        if self.options.dialect == "vllm":
            _check_served(model, cards)
        told = [card for listed in cards.values() for card in _about(model, listed)]
        lengths = [int(card["max_model_len"]) for card in told if card.get("max_model_len")]
        context = self.options.context or min(lengths, default=_UNKNOWN_CONTEXT)
        weights = " + ".join(dict.fromkeys(str(card.get("root")) for card in told))
        return _Served(model, context, weights, await self._find_tokens())

    async def _identify(self) -> str:
        served = await self._served.get()
        request = Request(({"role": "user", "content": "a"},), max_tokens=1)
        answer = await self._ask(served, chat.generation(request, self.options.dialect))
        mark = hashlib.sha256(f"{served.weights}\n{answer.get('system_fingerprint')}".encode()).hexdigest()
        return f"{served.model}@{mark[:16]}"

    async def _find_tokens(self) -> RemoteTokens:
        if self.options.tokenizer:
            return FileTokens(self.options.tokenizer)
        try:
            await self._servers.call("POST", "/tokenize", {"prompt": "a"})
        except EngineError as error:
            if error.retryable:
                raise
            raise MissingError(
                f"{self._servers.roots[0]} has no /tokenize to cut passages by the model's own tokens; "
                "name the model's tokenizer (--set engine.tokenizer=NAME_OR_PATH)"
            ) from error

        async def post(path: str, body: Json) -> Json:
            return await self._servers.call("POST", path, body)

        return ServerTokens(post)


def roots_of(base_url: str | Sequence[str]) -> list[str]:
    """The servers' addresses, each once, without /v1."""
    texts = [base_url] if isinstance(base_url, str) else base_url
    parts = (part.strip() for text in texts for part in text.split(","))
    return list(dict.fromkeys(part.rstrip("/").removesuffix("/v1") for part in parts if part))


def _cards(answer: Json) -> list[Mapping[str, Any]]:
    """What a server tells of its models."""
    listed = answer.get("data")
    return [card for card in listed if isinstance(card, Mapping)] if isinstance(listed, list) else []


def _about(model: str, listed: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The cards of a model and of the one that it is an adapter of; the first one where it is not named."""
    own = [card for card in listed if card.get("id") == model] or list(listed[:1])
    parents = {card.get("parent") for card in own}
    return own + [card for card in listed if card.get("id") in parents and card not in own]


def _common_model(cards: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The first model of every server.

    Raises:
        EngineError: a server names none, or another one than the others.
    """
    firsts = {root: str(listed[0].get("id") or "") if listed else "" for root, listed in cards.items()}
    (first_root, first), *others = firsts.items()
    for root, model in firsts.items():
        if not model:
            raise EngineError(f"{root} names no model; set engine.model", engine="openai")
    for root, model in others:
        if model != first:
            message = f"{first_root} serves {first!r} and {root} serves {model!r}; all must serve the same model"
            raise EngineError(f"{message}, or name it (engine.model)", engine="openai")
    return first


def _check_served(model: str, cards: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Every server that names its models must name this one.

    Raises:
        EngineError: one does not.
    """
    for root, listed in cards.items():
        names = [str(card.get("id")) for card in listed]
        if names and model not in names:
            served = ", ".join(map(repr, names))
            raise EngineError(f"{root} serves {served} and not {model!r}; set engine.model", engine="openai")
