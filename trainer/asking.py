"""What a judge asks a model, without a model: the very requests of serving, for training to answer.

A judge is asked about a window, and its engine writes down what it is asked instead of answering. Whatever judge a
profile names, the prompt that is trained on is the prompt that is served.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from es_reasonrank import plugins
from es_reasonrank.engines.base import TEXTUAL, Completion, Finish, NextToken, Request
from es_reasonrank.engines.embedded import resolve
from es_reasonrank.engines.tokens import ChatTokenizer
from es_reasonrank.errors import MissingError, SettingsError
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.rerank.prompts.template import load_template
from es_reasonrank.types import Candidate
from es_reasonrank.validation import Checked, checked


@dataclass(frozen=True)
class Asked:
    """One request of a judge."""

    request: Request
    choices: tuple[str, ...] = ()
    """The texts whose likelihood as the next token it wants; none where it wants a reply."""


class Listener:
    """An engine that has a model's tokenizer and no model.

    Args:
        context: tokens that a prompt and its reply may have together.

    Raises:
        MissingError: the model has no tokenizer that can be loaded, or no chat template.
    """

    options_model: ClassVar = Checked
    capabilities: ClassVar = TEXTUAL

    def __init__(self, model: str, context: int) -> None:
        self.model = model
        self.tokenizer = ChatTokenizer(resolve(model))
        if not self.tokenizer.inner.chat_template:
            raise MissingError(f"model {model} has no chat template; train an instruct model, or give it a template")
        self.asked: list[Asked] = []
        self._context = context

    async def identity(self) -> str:
        """The tokenizer's model."""
        return self.model

    async def start(self) -> None:
        """Nothing is to be loaded."""

    async def aclose(self) -> None:
        """Nothing is held."""

    async def context(self) -> int:
        """Tokens of prompt and reply together."""
        return self._context

    async def control_tokens(self) -> frozenset[str]:
        """The tokenizer's special tokens."""
        return self.tokenizer.control_tokens

    async def cut(self, texts: Sequence[str], limit: int) -> list[str]:
        """By the model's tokenizer."""
        return self.tokenizer.cut(texts, limit)

    async def count(self, request: Request) -> int:
        """By the model's chat template."""
        return len(self.tokenizer.encode(request))

    async def generate(self, request: Request) -> Completion:
        """Nothing, and the request is written down."""
        self.asked.append(Asked(request))
        return Completion("", Finish.STOP)

    async def next_token(self, request: Request, choices: Sequence[str]) -> NextToken:
        """Equal likelihoods, and the request is written down."""
        self.asked.append(Asked(request, tuple(choices)))
        return NextToken((0.0,) * len(choices))


class Questions:
    """A profile's judge, asked about windows without being answered.

    Args:
        model: whose tokenizer counts and cuts.
        context: tokens of a prompt and its reply together.

    Raises:
        SettingsError: the judge asks no language model.
    """

    def __init__(self, profile: Profile, model: str, context: int) -> None:
        name = profile.judge["name"]
        found = plugins.find("judges", name, where=f"profile {profile.name}")
        options = {key: value for key, value in profile.judge.items() if key != "name"}
        if "template" not in found.options_model.model_fields:
            raise SettingsError(f"profile {profile.name}: judge {name!r} asks no language model that could be trained")
        self.name: str = name
        self.options = checked(found.options_model, options, where=f"profile {profile.name}, judge {name}")
        self.template = load_template(self.options.template)
        self.listener = Listener(model, context)
        self._judge = found(self.options, self.listener)

    @property
    def tokenizer(self) -> ChatTokenizer:
        """The model's."""
        return self.listener.tokenizer

    @property
    def pointwise(self) -> bool:
        """Whether passages are asked about one by one."""
        return self.template.method == "pointwise"

    def identifiers(self, size: int) -> tuple[str, ...]:
        """What the passages of a window are called in a question.

        Raises:
            InputError: there are more passages than letters.
        """
        names: tuple[str, ...] = self._judge.prompter.identifiers(size)
        return names

    async def about(self, query: str, passages: Sequence[Candidate]) -> list[Asked]:
        """What the judge asks about a window: one request, or one for each passage.

        Raises:
            InputError: the window does not fit the context.
        """
        windows = [[passage] for passage in passages] if self.pointwise else [passages]
        return [await self._first(query, window) for window in windows]

    async def _first(self, query: str, window: Sequence[Candidate]) -> Asked:
        self.listener.asked.clear()
        await self._judge.judge(query, window)
        return self.listener.asked[0]
