"""What is sent to an OpenAI-compatible server and what its answers mean: pure functions, no I/O.

Two dialects: `vllm` (vllm serve, and servers that take its fields), and `openai` (any other), to which no field is ever
sent that the OpenAI API does not have.

A reply that goes on from a prefix is asked for over the plain completions, with the prompt as token ids: chat templates
of reasoning models drop or rewrite the reasoning of an assistant's turn, and servers then refuse to continue it. Only
where the prompt's tokens are not known is it asked for as a chat whose last turn is to be continued.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from es_reasonrank.engines.base import Completion, Finish, NextToken, Request, Sampling
from es_reasonrank.engines.logits import finite
from es_reasonrank.engines.permutation import SEPARATOR
from es_reasonrank.errors import EngineError

Dialect = Literal["vllm", "openai"]
Json = dict[str, Any]

_FINISH = {"length": Finish.LENGTH, "content_filter": Finish.REFUSED}
_BROKEN = ("abort", "error")
"""Reasons to end of a server that stopped working on a request: its text is no reply."""


@dataclass(frozen=True)
class Call:
    """A path of the server, and the body to send there, without its model."""

    path: str
    body: Json


def generation(request: Request, dialect: Dialect = "vllm", prompt: Sequence[int] | None = None) -> Call:
    """The call for one reply.

    Args:
        prompt: the prompt's tokens, prefix included, where they are known.

    Raises:
        EngineError: the dialect has no way to ask for it.
    """
    if dialect == "openai" and (request.prefix or request.permutation):
        wanted = "be held to a permutation" if request.permutation else "go on from a beginning of a reply"
        message = f"a server of another kind than vLLM cannot {wanted}; where it is vLLM, set engine.dialect=vllm"
        raise EngineError(message, engine="openai")
    drawn = {"max_tokens": request.max_tokens, **_drawn(request, dialect)}
    if request.prefix and prompt is not None:
        return Call("/v1/completions", {"prompt": list(prompt), **drawn})
    return Call("/v1/chat/completions", {**chat(request, dialect), **drawn})


def next_token(request: Request, tokens: Sequence[int], prompt: Sequence[int] | None = None) -> Call:
    """The call for the log-probabilities of `tokens` as the next one, in the dialect `vllm`; one token is generated."""
    bare = replace(request, max_tokens=1, sampling=Sampling(), stop=(), permutation=())
    call = generation(bare, "vllm", prompt)
    asked: Json = {"logprob_token_ids": list(tokens), "return_tokens_as_token_ids": True}
    asked["logprobs"] = 1 if "prompt" in call.body else True
    return Call(call.path, call.body | asked)


def chat(request: Request, dialect: Dialect = "vllm") -> Json:
    """The conversation as a body has it."""
    body: Json = {"messages": list(request.messages)}
    if dialect == "vllm" and request.chat_options:
        body["chat_template_kwargs"] = dict(request.chat_options)
    if dialect == "vllm" and request.prefix:
        body["messages"].append({"role": "assistant", "content": request.prefix})
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    return body


def permutation_pattern(texts: Sequence[str]) -> str:
    """A pattern of as many of `texts` as there are, joined by " > ". That they differ, it cannot say."""
    one = f"({'|'.join(re.escape(text) for text in texts)})"
    return f"{one}({re.escape(SEPARATOR)}{one}){{{len(texts) - 1}}}" if len(texts) > 1 else one


def read_completion(answer: Json) -> Completion:
    """The reply in an answer. `reasoning` and `reasoning_content` are the same; `content` may be null.

    Raises:
        EngineError: it holds no reply, or one that was broken off.
    """
    choice = _choice(answer)
    message = choice.get("message") or {"content": choice.get("text")}
    usage = answer.get("usage") or {}
    refusal = message.get("refusal")
    return Completion(
        text=refusal or message.get("content") or "",
        finish=Finish.REFUSED if refusal else _FINISH.get(str(choice.get("finish_reason")), Finish.STOP),
        reasoning=message.get("reasoning") or message.get("reasoning_content") or "",
        prompt_tokens=usage.get("prompt_tokens") or 0,
        generated_tokens=usage.get("completion_tokens") or 0,
    )


def read_next_token(answer: Json, tokens: Sequence[int]) -> NextToken:
    """The log-probabilities of `tokens` in an answer.

    Raises:
        EngineError: one of them is missing, or is not a number.
    """
    told = _told(_choice(answer))
    missing = [token for token in tokens if f"token_id:{token}" not in told]
    if missing:
        message = f"the server tells no log-probability of {len(missing)} of {len(tokens)} tokens; it needs a vLLM "
        raise EngineError(f"{message}that knows logprob_token_ids", engine="openai")
    usage = answer.get("usage") or {}
    return NextToken(
        logprobs=finite([told[f"token_id:{token}"] for token in tokens], "the server"),
        prompt_tokens=usage.get("prompt_tokens") or 0,
        generated_tokens=usage.get("completion_tokens") or 0,
    )


def _drawn(request: Request, dialect: Dialect) -> Json:
    """How tokens are drawn. vLLM fills in what is left out from the model's generation_config, so nothing is."""
    drawn = request.sampling
    body: Json = {"temperature": drawn.temperature}
    if request.stop:
        body["stop"] = list(request.stop)
    if drawn.seed is not None:
        body["seed"] = drawn.seed
    if dialect == "openai":
        return body | ({"top_p": drawn.top_p} if drawn.top_p < 1 else {})
    body |= {"top_p": drawn.top_p, "top_k": drawn.top_k or -1, "min_p": drawn.min_p, "repetition_penalty": 1.0}
    body["include_stop_str_in_output"] = True
    if request.permutation:
        body["structured_outputs"] = {"regex": permutation_pattern(request.permutation)}
    return body


def _choice(answer: Json) -> Json:
    try:
        choice: Json = answer["choices"][0]
        if not isinstance(choice.get("message"), dict) and not isinstance(choice.get("text"), str):
            raise KeyError("message")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise EngineError("the server's answer holds no choice", engine="openai") from error
    if choice.get("finish_reason") in _BROKEN:
        raise EngineError("the server broke off before its reply was complete", engine="openai", retryable=True)
    return choice


def _told(choice: Json) -> dict[str, float]:
    """The first token's log-probabilities: chats list them, plain completions map them."""
    try:
        logprobs = choice["logprobs"]
        if "content" in logprobs:
            return {row["token"]: float(row["logprob"]) for row in logprobs["content"][0]["top_logprobs"]}
        return {token: float(value) for token, value in logprobs["top_logprobs"][0].items()}
    except (KeyError, IndexError, TypeError, ValueError):
        return {}
