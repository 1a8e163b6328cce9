"""Any OpenAI-compatible server (vllm serve, SGLang, llama.cpp, a hosted API), over its chat completions.

Passages are cut by the model's own tokens here too: by the server's /tokenize where it has one, else by the tokenizer
that the option `tokenizer` names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import httpx
from pydantic import Field, SecretStr
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from es_reasonrank.engines.base import Capability, Completion, Finish, Request
from es_reasonrank.engines.once import Once
from es_reasonrank.engines.remote_tokens import FileTokens, RemoteTokens, ServerTokens
from es_reasonrank.errors import EngineError, MissingError
from es_reasonrank.validation import Checked

_FINISH = {"length": Finish.LENGTH, "content_filter": Finish.REFUSED}
_UNKNOWN_CONTEXT = 1 << 30
"""Where a server does not tell its context, prompts are not fitted; it answers with an error where one is too long."""


class OpenAIOptions(Checked):
    """Which server, and how patient to be with it."""

    base_url: str = Field("http://127.0.0.1:8000/v1", description="Address of the server, with or without /v1.")
    model: str | None = Field(None, description="Model to ask for; the first one that the server names by default.")
    api_key: SecretStr | None = Field(None, description="Sent as a bearer token.")
    tokenizer: str | None = Field(None, description="Tokenizer's name or path, where the server cannot tokenize.")
    context: int | None = Field(
        None, ge=1, description="Tokens of prompt and reply together, where the server does not tell."
    )
    timeout: float = Field(120.0, gt=0, description="Seconds that one reply may take.")
    attempts: int = Field(3, ge=1, description="Tries on overload (429), failure (5xx) and lost connections.")
    connections: int = Field(64, ge=1, description="Requests in flight at once.")


@dataclass(frozen=True)
class _Server:
    model: str
    context: int
    tokens: RemoteTokens


class OpenAIEngine:
    """Asks the server who it is at `start`, and then one completion a window."""

    capabilities: ClassVar = frozenset({Capability.TEXT, Capability.CONTINUATION})
    options_model: ClassVar = OpenAIOptions

    def __init__(self, options: OpenAIOptions) -> None:
        self.options = options
        self._root = options.base_url.rstrip("/").removesuffix("/v1")
        self._client: httpx.AsyncClient | None = None
        self._server: Once[_Server] = Once(self._meet)

    @property
    def model(self) -> str:
        """The model that is asked for."""
        return self.options.model or self._root

    async def start(self) -> None:
        """Ask the server for its models."""
        await self._server.get()

    async def context(self) -> int:
        """The option, else the server's `max_model_len`."""
        return (await self._server.get()).context

    async def control_tokens(self) -> frozenset[str]:
        """Not known from outside; the forms that chat templates use are neutralised anyway."""
        return frozenset()

    async def cut(self, texts: Sequence[str], limit: int) -> list[str]:
        """By the server's or the named tokenizer."""
        return await (await self._server.get()).tokens.cut(texts, limit)

    async def count(self, request: Request) -> int:
        """By the server's or the named tokenizer."""
        return await (await self._server.get()).tokens.count(request, chat_body(request))

    async def generate(self, request: Request) -> Completion:
        """One chat completion."""
        server = await self._server.get()
        return read_completion(
            await self._call("POST", "/v1/chat/completions", {"model": server.model, **chat_body(request)})
        )

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _meet(self) -> _Server:
        models = (await self._call("GET", "/v1/models")).get("data") or [{}]
        name = self.options.model or models[0].get("id")
        if not name:
            raise EngineError(f"{self._root} names no model; set engine.model", engine="openai")
        told = next((model for model in models if model.get("id") == name), models[0])
        context = self.options.context or told.get("max_model_len") or _UNKNOWN_CONTEXT
        return _Server(str(name), int(context), await self._find_tokens())

    async def _find_tokens(self) -> RemoteTokens:
        if self.options.tokenizer:
            return FileTokens(self.options.tokenizer)
        try:
            await self._call("POST", "/tokenize", {"prompt": "a"})
        except EngineError as error:
            raise MissingError(
                f"{self._root} has no /tokenize to cut passages by the model's own tokens; "
                "name the model's tokenizer (--set engine.tokenizer=NAME_OR_PATH)"
            ) from error

        async def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
            return await self._call("POST", path, body)

        return ServerTokens(post)

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The JSON answer; tried again on what may pass."""
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, EngineError) and error.retryable),
            stop=stop_after_attempt(self.options.attempts),
            wait=wait_random_exponential(multiplier=0.5, max=10),
            reraise=True,
        )
        return await retrying(self._once, method, path, body)

    async def _once(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        try:
            answer = await self._http().request(method, self._root + path, json=body)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise EngineError(f"{self._root} gives no answer: {reason}", engine="openai", retryable=True) from error
        if answer.status_code != httpx.codes.OK:
            retryable = answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error
            message = f"{self._root}{path} answered {answer.status_code}: {_reason(answer)}"
            raise EngineError(message, engine="openai", retryable=retryable)
        return _json(answer)

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            key = self.options.api_key
            self._client = httpx.AsyncClient(
                headers={"Authorization": f"Bearer {key.get_secret_value()}"} if key else {},
                timeout=httpx.Timeout(self.options.timeout, connect=5.0),
                limits=httpx.Limits(max_connections=self.options.connections),
            )
        return self._client


def chat_body(request: Request) -> dict[str, Any]:
    """The body of a chat completion, without its model; defaults are left out, for servers that refuse extras."""
    drawn = request.sampling
    body: dict[str, Any] = {
        "messages": list(request.messages),
        "max_tokens": request.max_tokens,
        "temperature": drawn.temperature,
    }
    if request.prefix:
        body["messages"].append({"role": "assistant", "content": request.prefix})
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    optional = {
        "stop": list(request.stop),
        "top_p": drawn.top_p if drawn.top_p < 1 else None,
        "top_k": drawn.top_k,
        "min_p": drawn.min_p,
        "seed": drawn.seed,
        "chat_template_kwargs": dict(request.chat_options),
    }
    return body | {key: value for key, value in optional.items() if value or (value == 0 and key == "seed")}


def read_completion(answer: dict[str, Any]) -> Completion:
    """A chat completion's answer. `reasoning` and `reasoning_content` are the same; `content` may be null.

    Raises:
        EngineError: it holds no choice.
    """
    try:
        choice = answer["choices"][0]
        message = choice["message"]
    except (KeyError, IndexError, TypeError) as error:
        raise EngineError("the server's answer holds no choice", engine="openai") from error
    usage = answer.get("usage") or {}
    refusal = message.get("refusal")
    return Completion(
        text=refusal or message.get("content") or "",
        finish=Finish.REFUSED if refusal else _FINISH.get(choice.get("finish_reason"), Finish.STOP),
        reasoning=message.get("reasoning") or message.get("reasoning_content") or "",
        prompt_tokens=usage.get("prompt_tokens") or 0,
        generated_tokens=usage.get("completion_tokens") or 0,
    )


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        value = answer.json()
    except ValueError as error:
        raise EngineError(f"{answer.url} answered with something that is not JSON", engine="openai") from error
    if not isinstance(value, dict):
        raise EngineError(f"{answer.url} answered with JSON of another shape", engine="openai")
    return value


def _reason(answer: httpx.Response) -> str:
    """The error's message where there is one; never a page of HTML."""
    try:
        error = answer.json().get("error", {})
    except (ValueError, AttributeError):
        return answer.reason_phrase
    message = error.get("message") if isinstance(error, dict) else error
    return str(message or answer.reason_phrase)
