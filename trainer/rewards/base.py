"""What all rewards share: what is known of a window, what a roll-out scored, and the two kinds of reward."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Literal, TypeVar

from es_reasonrank.errors import InputError, SettingsError
from es_reasonrank.rerank.prompts.template import Method
from es_reasonrank.validation import Checked
from trainer.rewards.reading import Reader

Options = TypeVar("Options", bound=Checked)


@dataclass(frozen=True, slots=True)
class Gold:
    """What is known of a window that was shown.

    Raises:
        InputError: it is empty, or its parts do not fit one another.
    """

    grades: tuple[int, ...]
    """Each passage's relevance, as shown; 0 is none."""
    order: tuple[int, ...] = ()
    """The order to learn, best first, as places from 0; empty where there is none."""
    scores: tuple[float, ...] = ()
    """What the model gave each passage before RL, on the judge's scale; empty where nobody knows."""

    def __post_init__(self) -> None:
        size = len(self.grades)
        if not size or min(self.grades) < 0:
            raise InputError("a window to learn from needs a grade of 0 or more for every passage")
        if self.order and sorted(self.order) != list(range(size)):
            raise InputError(f"the order {list(self.order)} is no permutation of {size} passages")
        if self.scores and len(self.scores) != size:
            raise InputError(f"{len(self.scores)} scores do not fit {size} passages")


@dataclass(frozen=True, slots=True)
class Scored:
    """What a roll-out is worth."""

    value: float
    parts: Mapping[str, float] = field(default_factory=dict)
    """What it is made of; a part that a roll-out does not come to is missing."""


class _Reward(Generic[Options]):
    """A reward for the replies to one judge's question.

    Raises:
        SettingsError: the judge asks another kind of question.
    """

    name: ClassVar[str]
    options_model: ClassVar[type[Checked]]
    methods: ClassVar[tuple[Method, ...]]
    """Methods of the prompt templates whose replies it can read."""
    select: ClassVar[Literal["best", "worst"] | None] = None
    """The passage that a setwise question must ask for."""

    def __init__(self, options: Options, reader: Reader) -> None:
        if reader.template.method not in self.methods:
            raise SettingsError(
                f"reward {self.name!r} reads replies to a template of method {' or '.join(self.methods)}, "
                f"not {reader.template.method}"
            )
        if self.select not in (None, reader.select):
            raise SettingsError(
                f"reward {self.name!r} wants the {self.select} passage named, and judge.select is {reader.select!r}"
            )
        self.options = options
        self.reader = reader


class WindowReward(_Reward[Options], ABC):
    """A reward that looks at one roll-out."""

    @abstractmethod
    def score(self, text: str, gold: Gold, *, cut: bool = False) -> Scored:
        """What a roll-out is worth.

        Args:
            text: what the model wrote, behind the beginning that the judge makes.
            cut: whether it ended at its token limit.

        Raises:
            InputError: `gold` lacks what the reward is made of.
        """


class QueryReward(_Reward[Options], ABC):
    """A reward that looks at all roll-outs of a query together."""

    @abstractmethod
    def score_all(self, texts: Sequence[str], golds: Sequence[Gold], *, cuts: Sequence[bool] = ()) -> list[Scored]:
        """What each of them is worth.

        Args:
            texts: every roll-out of every window of the query.
            golds: the window of each.
            cuts: whether each ended at its token limit; without it, none did.
        """
