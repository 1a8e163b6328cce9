"""The teacher: it selects what helps to reach a known answer, and orders lists, with its reasons, without knowing it.

Any profile with the judge `listwise` teaches, over any engine. What it answers is kept in a journal under a key of all
that it was asked, so that nothing is asked twice. Of several samples of an order, the one that agrees best with the
relevant passages counts: by nDCG@10, as ReasonRank's filter has it (2508.07050, section 4.1).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from es_reasonrank.batch.journal import Journal
from es_reasonrank.engines.base import Engine, Request, TextEngine
from es_reasonrank.errors import EngineError, InputError, ServiceError, SettingsError
from es_reasonrank.evaluation.runs import Text
from es_reasonrank.files import json_lines
from es_reasonrank.rerank.cache import key_of
from es_reasonrank.rerank.judges.listwise import ListwiseJudge
from es_reasonrank.rerank.loading import load_ranker
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.rerank.session import Ranker
from es_reasonrank.types import Outcome, Verdict
from trainer.filtering import agreement
from trainer.lists import SIZE, TrainingList
from trainer.synthesis.asking import Asking, selected, written
from trainer.synthesis.candidates import Selected
from trainer.synthesis.cost import Call, Prices
from trainer.synthesis.material import Query
from trainer.synthesis.prompts import prompt
from trainer.synthesis.teachers import ModelTeacher

_PATIENCE = 10
"""Failures in a row after which the teacher counts as down."""
_ENOUGH = 20
"""Answers of one kind of which at least one must be usable."""
_JOURNAL = "teacher 1"
Row = dict[str, Any]


class Teacher:
    """Asks one engine, and remembers its answers.

    Args:
        profile: as `ModelTeacher.profiled` makes it.
        engine: the profile's own, or one that records it.
        seed: of the first sample; the others count up from it.

    Raises:
        SettingsError: the engine generates no text.
    """

    def __init__(self, options: ModelTeacher, profile: Profile, engine: Engine, journal: Journal, seed: int) -> None:
        if not isinstance(engine, TextEngine):
            raise SettingsError(f"teacher: engine {profile.engine['name']!r} generates no text; choose another")
        self.options = options
        self.engine = engine
        self._journal = journal
        self._rows: dict[str, Row] = {row["key"]: row for row in journal.rows}
        self._used: set[str] = set()
        self.outcomes: dict[str, Counter[Outcome]] = defaultdict(Counter)
        """How the answers ended that were needed, by what was asked."""
        self._rankers = [load_ranker(_drawn(profile, seed + number), engine) for number in range(options.samples)]
        self._judges = [_listwise(ranker) for ranker in self._rankers]
        self._asking = Asking(engine, self._judges[0].options)
        self._failures: list[EngineError] = []

    async def rank(self, one: TrainingList) -> TrainingList | str:
        """The list in its best order, or the reason why there is none.

        Raises:
            EngineError: the engine failed.
        """
        passages = [passage.candidate for passage in one.passages]
        samples = []
        for number, ranker in enumerate(self._rankers):
            judge = ranker.asking.judge

            async def ask(judge: Callable[..., Awaitable[Verdict]] = judge) -> Row:
                verdict = await judge(one.query, passages)
                return _answer(verdict, order=[passages[place].id for place in verdict.order])

            try:
                samples.append(await self._answered("order", self._order_key(one, number), ask))
            except InputError as error:
                return str(error)
        usable = [row for row in samples if Outcome(row["outcome"]).ranks]
        if not usable:
            return f"the teacher gave no order: {samples[0]['outcome']}"
        best = max(usable, key=lambda row: agreement(row["order"], one.relevant))
        return one.model_copy(update={"order": tuple(best["order"]), "reasoning": best["reasoning"]})

    async def select(self, query: Query, criterion: str, passages: Mapping[str, Text]) -> Selected:
        """Which passages help and which mislead; one that is named for both counts as neither.

        Raises:
            EngineError: the engine failed.
        """
        named: dict[str, list[str]] = {kind: [] for kind in self._selections}
        for kind, names in self._selection_parts(passages):

            async def ask(kind: str = kind, names: Sequence[str] = names) -> Row:
                request = await self._selection(kind, query, criterion, [passages[name] for name in names])
                verdict = selected(await self.engine.generate(request), len(names))
                scores = verdict.scores or (0.0,) * len(names)
                return _answer(verdict, chosen=[name for name, score in zip(names, scores, strict=True) if score])

            try:
                row = await self._answered(kind, self._selection_key(kind, query, criterion, names, passages), ask)
            except InputError:
                continue
            named[kind] += row["chosen"]
        helpful, misleading = named["helpful"], named.get("misleading", [])
        both = {*helpful} & {*misleading}
        return Selected(*(tuple(name for name in names if name not in both) for names in (helpful, misleading)))

    async def query(self, document: Text) -> str:
        """A query for a document; empty where the teacher gives none.

        Raises:
            EngineError: the engine failed.
        """

        async def ask() -> Row:
            request = await self._asking.query(prompt("query"), document)
            verdict, text = written(await self.engine.generate(request))
            return _answer(verdict, text=text)

        try:
            return str((await self._answered("query", self._query_key(document), ask))["text"])
        except InputError:
            return ""

    async def order_calls(self, one: TrainingList, *, guessed: bool) -> AsyncIterator[Call]:
        """What ordering a list takes."""
        passages = [passage.candidate for passage in one.passages]
        for number, judge in enumerate(self._judges):
            if self._order_key(one, number) not in self._rows:
                room = judge.options.room(judge.options.answer_tokens)
                request = judge.prompter.request(one.query, passages, reply_tokens=room)
                async for call in self._call(request, guessed=guessed):
                    yield call

    async def select_calls(self, query: Query, criterion: str, passages: Mapping[str, Text]) -> AsyncIterator[Call]:
        """What selecting takes."""
        for kind, names in self._selection_parts(passages):
            if self._selection_key(kind, query, criterion, names, passages) not in self._rows:
                request = self._selection(kind, query, criterion, [passages[name] for name in names])
                async for call in self._call(request, guessed=False):
                    yield call

    async def query_calls(self, document: Text) -> AsyncIterator[Call]:
        """What a query for a document takes."""
        if self._query_key(document) not in self._rows:
            async for call in self._call(self._asking.query(prompt("query"), document), guessed=False):
                yield call

    def check(self) -> None:
        """Stop where it makes no sense to go on.

        Raises:
            ServiceError: the teacher is down.
            EngineError: it answers nonsense.
        """
        where = f"what was answered is kept in {self._journal.path}"
        if len(self._failures) >= _PATIENCE:
            raise ServiceError(
                f"teacher {self.engine.model} failed {len(self._failures)} times in a row, the last time: "
                f"{self._failures[-1]}; {where}: start again to go on"
            )
        for kind, counts in self.outcomes.items():
            if counts.total() >= _ENOUGH and not any(outcome.ranks for outcome in counts):
                told = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
                message = f"teacher {self.engine.model} answers nonsense: of {counts.total()} answers to {kind!r}, "
                raise EngineError(f"{message}{told}; choose a larger one; {where}", engine=self.engine.model)

    @property
    def _selections(self) -> tuple[str, ...]:
        return ("helpful", "misleading") if self.options.misleading else ("helpful",)

    def _selection_parts(self, passages: Mapping[str, Text]) -> list[tuple[str, list[str]]]:
        """Each question about at most 20 passages."""
        names = list(passages)
        starts = range(0, len(names), SIZE)
        return [(kind, names[start : start + SIZE]) for kind in self._selections for start in starts]

    async def _selection(self, kind: str, query: Query, criterion: str, texts: Sequence[Text]) -> Request:
        return await self._asking.selection(prompt(kind), query, criterion, texts)

    async def _call(self, request: Awaitable[Request], *, guessed: bool) -> AsyncIterator[Call]:
        """What a request takes; nothing where it does not fit, for it will not be sent then."""
        try:
            made = await request
        except InputError:
            return
        yield Call(await self.engine.count(made), made.max_tokens, guessed)

    async def _answered(self, kind: str, key: str, ask: Callable[[], Awaitable[Row]]) -> Row:
        """The answer under a key: the one that is known, else a new one, which is kept."""
        if key not in self._rows:
            try:
                row = {"key": key, "kind": kind, **await ask()}
            except EngineError as error:
                self._failures.append(error)
                raise
            self._failures.clear()
            self._journal.add(row)
            self._rows[key] = row
        row = self._rows[key]
        if key not in self._used:
            self._used.add(key)
            self.outcomes[kind][Outcome(row["outcome"])] += 1
        return row

    def _order_key(self, one: TrainingList, number: int) -> str:
        candidates = [passage.candidate for passage in one.passages]
        asked = key_of(self._rankers[number].judge, self.engine.model, one.query, candidates)
        return _hash(asked, [passage.id for passage in one.passages])

    def _selection_key(
        self, kind: str, query: Query, criterion: str, names: Sequence[str], passages: Mapping[str, Text]
    ) -> str:
        return self._key(kind, query.text, query.gold, criterion, *((name, *passages[name]) for name in names))

    def _query_key(self, document: Text) -> str:
        return self._key("query", *document)

    def _key(self, kind: str, *parts: object) -> str:
        options = self._judges[0].options.model_dump(mode="json")
        asked = [self.engine.model, options, prompt(kind).model_dump(), *parts]
        return _hash(*asked)


def journal(path: Path) -> Journal:
    """The file of a teacher's answers. Those to other questions stay in it, and are not found."""
    return Journal(path, _JOURNAL)


def spent(path: Path, prices: Prices | None) -> dict[str, Any]:
    """Answers, tokens and money of a file of answers; those of every run that wrote into it."""
    rows = [row for _, row in json_lines(path) if "key" in row]
    tokens = {name: sum(row[name] for row in rows) for name in ("prompt_tokens", "generated_tokens")}
    found = {"answers": len(rows), **tokens}
    return found if prices is None else {**found, "money": round(prices.of(*tokens.values()), 4)}


def _drawn(profile: Profile, seed: int) -> Profile:
    """The profile with a seed for what it draws; what is greedy needs none."""
    sampling = profile.judge["sampling"]
    if not sampling.get("temperature"):
        return profile
    return profile.model_copy(update={"judge": {**profile.judge, "sampling": {**sampling, "seed": seed}}})


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _listwise(ranker: Ranker) -> ListwiseJudge:
    if not isinstance(ranker.judge, ListwiseJudge):
        raise SettingsError("teacher: a teacher orders whole lists; choose a profile with judge listwise")
    return ranker.judge


def _answer(verdict: Verdict, **values: object) -> Row:
    """What is kept of a verdict.

    Raises:
        EngineError: there is none, because the engine failed.
    """
    if verdict.outcome in (Outcome.ENGINE_ERROR, Outcome.DEADLINE):
        raise EngineError(verdict.detail, engine="teacher", retryable=True)
    return {
        "outcome": str(verdict.outcome),
        "detail": verdict.detail,
        "reasoning": verdict.reasoning,
        **values,
        "prompt_tokens": verdict.prompt_tokens,
        "generated_tokens": verdict.generated_tokens,
    }
