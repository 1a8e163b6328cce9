"""Synthesis as a stage: sources in, training lists out; whatever ends it early, nothing that was finished is lost.

In the stage's folder, each source has a folder of its own: vectors and candidates until it is done, then its lists. The
teacher's answers stand in `answers.jsonl`. A source that is done is not read again unless its options or files change;
of an index nobody can tell, so that new judgments want a new folder.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, field_validator

from es_reasonrank.engines.replay import recorded
from es_reasonrank.errors import InputError, PartialError
from es_reasonrank.files import json_lines, replacing, write_json_lines
from es_reasonrank.rerank.loading import load_engine
from es_reasonrank.settings import ElasticSettings, load
from es_reasonrank.validation import Checked
from trainer.lists import write_lists
from trainer.stages import Made, Work
from trainer.synthesis.candidates import CandidateOptions
from trainer.synthesis.cost import Call, Estimate, check_agreed, estimated, is_local
from trainer.synthesis.leaks import Guard, LeakOptions, summary
from trainer.synthesis.making import Lists, Making
from trainer.synthesis.prepared import Prepared, Shared
from trainer.synthesis.recording import joined, new_part
from trainer.synthesis.search import Elastic
from trainer.synthesis.similarity import Encoder
from trainer.synthesis.sources import AnySource
from trainer.synthesis.teacher import Teacher, journal, spent
from trainer.synthesis.teachers import AnyTeacher, ModelTeacher, QrelsTeacher

_NO_MATTER = {"yes", "at_once", "prices", "limit", "record", "answers"}
"""Options of a teacher that change no list."""


class Options(Checked):
    """What lists are made from, and how."""

    sources: tuple[AnySource, ...] = Field(min_length=1, description="Where queries and documents come from.")
    candidates: CandidateOptions = Field(CandidateOptions(), description="How lists are made of what is found.")
    teacher: AnyTeacher = Field(QrelsTeacher(), description="Who orders them.")
    leaks: LeakOptions = Field(LeakOptions(), description="What must not be trained on.")
    elastic: ElasticSettings | None = Field(None, description="Elasticsearch; by default that of the settings.")
    seed: int | None = Field(None, description="Of everything that is drawn; the recipe's by default.")

    @field_validator("sources")
    @classmethod
    def _named_apart(cls, value: tuple[AnySource, ...]) -> tuple[AnySource, ...]:
        names = [source.dataset for source in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two sources are called {name!r}; give one of them another name")
        return value


def run(work: Work, options: Options) -> Made:
    """Make the lists.

    Raises:
        InputError: a source is wrong, or no list came of any.
        MissingError: Elasticsearch, a model or a package is not there.
        ServiceError: Elasticsearch or the teacher failed.
        PartialError: the teacher failed for some lists.
    """
    return asyncio.run(_Synthesis(work, options).made())


class _Synthesis:
    """One run of the stage."""

    def __init__(self, work: Work, options: Options) -> None:
        self._work = work
        self._options = options
        self._seed = work.seed if options.seed is None else options.seed
        self._folders = [work.folder / "sources" / source.dataset for source in options.sources]
        self._marks = [_mark(source, options, self._seed) for source in options.sources]
        self._estimate: dict[str, Any] = {}

    async def made(self) -> Made:
        """What the stage hands on."""
        todo = [place for place in range(len(self._folders)) if not self._is_done(place)]
        if todo:
            await self._make(todo)
        lists = [row for folder in self._folders for _, row in json_lines(folder / "lists.jsonl")]
        leaks = [row for folder in self._folders for _, row in json_lines(folder / "leaks.jsonl")]
        told = [json.loads((folder / "done.json").read_text(encoding="utf-8")) for folder in self._folders]
        sources = {source.dataset: each["numbers"] for source, each in zip(self._options.sources, told, strict=True)}
        if not lists:
            raise InputError(f"no list could be made: {_reasons(sources)}")
        artifacts = {name: self._work.folder / f"{name}.jsonl" for name in ("lists", "leaks")}
        write_json_lines(artifacts["leaks"], leaks)
        write_json_lines(artifacts["lists"], lists)
        transcript = joined(self._work.folder)
        return Made(
            artifacts | ({"transcript": transcript} if transcript else {}),
            {"lists": len(lists), "leaks": len(leaks), "sources": sources, **self._estimate, **self._spent()},
        )

    def _answers(self, teaching: ModelTeacher) -> Path:
        return teaching.answers or self._work.folder / "answers.jsonl"

    def _spent(self) -> dict[str, Any]:
        """What a model has answered, and its price."""
        teaching = self._options.teacher
        if not isinstance(teaching, ModelTeacher):
            return {}
        return {"teacher": spent(self._answers(teaching), teaching.prices)}

    def _is_done(self, place: int) -> bool:
        path = self._folders[place] / "done.json"
        return path.is_file() and json.loads(path.read_text(encoding="utf-8"))["mark"] == self._marks[place]

    async def _make(self, todo: Sequence[int]) -> None:
        """Prepare what is not done, say what it will cost, and do it."""
        options, work = self._options, self._work
        failed: list[Exception] = []
        async with AsyncExitStack() as stack:
            teacher = await stack.enter_async_context(self._teacher())
            shared = self._shared(stack)
            ready = [await Prepared.of(options.sources[place], self._folders[place], shared) for place in todo]
            makings = [Making(each, teacher) for each in ready]
            if teacher is not None:
                await self._agree(makings, teacher)
            for place, each, making in zip(todo, ready, makings, strict=True):
                found = await making.lists()
                work.say(f"{each.dataset}: {len(found.lists):,} lists")
                failed += found.failed
                if not found.failed:
                    self._finish(place, each, found)
                    await each.close()
        if failed:
            message = f"the teacher failed {len(failed)} times, first: {failed[0]}; start again to go on"
            raise PartialError(message, failed=len(failed), total=sum(len(each.material.queries) for each in ready))

    def _shared(self, stack: AsyncExitStack) -> Shared:
        elastic = Elastic(self._options.elastic or load().settings.elastic, stack, self._work.say)
        candidates = self._options.candidates
        return Shared(
            work=self._work,
            options=candidates,
            seed=self._seed,
            guard=Guard(self._options.leaks),
            encoder=Encoder(candidates.model),
            connect=elastic.client,
        )

    @asynccontextmanager
    async def _teacher(self) -> AsyncIterator[Teacher | None]:
        """The model that teaches, loaded; None where judgments do."""
        teaching = self._options.teacher
        if not isinstance(teaching, ModelTeacher):
            yield None
            return
        profile = teaching.profiled()
        engine = load_engine(profile)
        if teaching.record:
            engine = recorded(engine, new_part(self._work.folder))
        with journal(self._answers(teaching)) as answers:
            try:
                teacher = Teacher(teaching, profile, engine, answers, self._seed)
                self._work.say(f"loading teacher {engine.model}")
                await engine.start()
                yield teacher
            finally:
                await engine.aclose()

    async def _agree(self, makings: Sequence[Making], teacher: Teacher) -> None:
        """Say what the teacher will cost, and stop where nobody has agreed to that.

        Raises:
            SettingsError: nobody has.
        """
        teaching = teacher.options

        async def calls() -> AsyncIterator[Call]:
            for making in makings:
                async for call in making.calls(teacher):
                    yield call

        estimate: Estimate = await estimated(calls(), teaching.prices)
        self._work.say(f"teacher {teacher.engine.model}: {estimate}")
        self._estimate = {"estimate": estimate.summary()}
        local = is_local(teaching.profiled().engine)
        check_agreed(estimate, model=teacher.engine.model, local=local, limit=teaching.limit, yes=teaching.yes)

    def _finish(self, place: int, ready: Prepared, found: Lists) -> None:
        """Keep a source's lists; it is done from here on."""
        folder = self._folders[place]
        write_lists(folder / "lists.jsonl", found.lists)
        write_json_lines(folder / "leaks.jsonl", [removed.row() for removed in found.removed])
        size = max(1, len(found.lists))
        numbers = {
            "queries": len(ready.material.queries) + len(ready.material.unasked),
            "documents": len(ready.material.corpus),
            "lists": len(found.lists),
            "left_out": dict(+found.left_out),
            "leaks": summary(found.removed),
            "passages_a_list": round(sum(len(one.passages) for one in found.lists) / size, 2),
            "relevant_a_list": round(sum(len(one.relevant) for one in found.lists) / size, 2),
        }
        with replacing(folder / "done.json") as file:
            json.dump({"mark": self._marks[place], "numbers": numbers}, file, indent=2)


def _reasons(sources: dict[str, Any]) -> str:
    told = [f"{name}: {count} {why}" for name, each in sources.items() for why, count in each["left_out"].items()]
    return "; ".join(told) or "the sources hold no queries"


def _mark(source: AnySource, options: Options, seed: int) -> str:
    """A mark of all that a source's lists follow from; a file counts by its size and time."""
    named = [*_paths(source), *_paths(options.leaks)]
    if isinstance(options.teacher, ModelTeacher) and options.teacher.replay:
        named.append(options.teacher.replay)
    files = [
        (str(path), (stat := path.stat()).st_size, stat.st_mtime_ns)
        for name in named
        for path in (sorted(name.rglob("*")) if name.is_dir() else [name])
        if path.is_file()
    ]
    teacher = options.teacher.model_dump(mode="json", exclude=_NO_MATTER)
    parts = [each.model_dump(mode="json") for each in (source, options.candidates, options.leaks)]
    return hashlib.sha256(json.dumps([seed, parts, teacher, files]).encode()).hexdigest()[:16]


def _paths(value: Any) -> Iterator[Path]:
    """Every path that options name."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _paths(getattr(value, name))
    elif isinstance(value, tuple):
        for each in value:
            yield from _paths(each)
