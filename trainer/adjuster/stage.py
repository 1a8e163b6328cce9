"""The order adjuster: a small scorer learns in which order the large ranker reads the head of a list best.

Source: CoRanking (2503.23427). Heads are made of the run's lists by the very strategy that serves, `cascade`; the large
ranker is shown each in several orders, and of two orders the one is preferred after which its nDCG@10 was higher.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml
from pydantic import Field

from es_reasonrank.batch.journal import Journal
from es_reasonrank.errors import EngineError, InputError, PartialError, ReasonRankError
from es_reasonrank.evaluation.provenance import fingerprint
from es_reasonrank.files import replacing
from es_reasonrank.rerank.adjuster import FILE, Adjuster, Seen
from es_reasonrank.rerank.pool import run_all
from es_reasonrank.rerank.profile import Profile, load_profile, profile_from
from es_reasonrank.rerank.reranker import Reranker
from es_reasonrank.rerank.session import Ranker, Session
from es_reasonrank.rerank.strategies.cascade import seen
from es_reasonrank.types import Outcome
from trainer.adjuster.training import AdjusterTraining, fit
from trainer.adjuster.trying import Head, Trial, preferences, shown, trials, values
from trainer.evaluate import Named, serving
from trainer.lists import TrainingList, read_lists
from trainer.serving import served
from trainer.stages import Made, Work


class Options(AdjusterTraining):
    """The two rankers, what is tried on the large one, and how the scorer is trained."""

    small: Named = Field("encoder", description="Small ranker: an encoder of this run by its name, or a profile.")
    large: Named | None = Field(None, description="Profile of the large ranker; by default this run's model.")
    name: str = Field("cascade", pattern=r"[a-z0-9][a-z0-9._+-]*", description="Name of both together in reports.")
    head: int = Field(20, ge=2, description="Passages that the large ranker sees: the small one's best.")
    orders: int = Field(8, ge=2, description="Orders in which each head is shown: what the large ranker is asked.")
    lists: int | None = Field(None, ge=1, description="Lists at most, the first.")
    at_once: int = Field(16, ge=1, description="Lists that are worked on at a time.")


def run(work: Work, options: Options) -> Made:
    """Train an adjuster, and write it and the profile of the cascade that uses it.

    Raises:
        MissingError: the lists or a model are not there.
        PartialError: some lists could not be tried; the others are kept, and are not tried again.
        InputError: no order of any head is better than another.
    """
    lists = list(read_lists(work.need("lists", "synthesize")))[: options.lists]
    profile = _cascade(work, options)
    return asyncio.run(_made(work, options, profile, lists))


@dataclass(frozen=True)
class Tried:
    """Heads and what came of their orders."""

    heads: list[Head] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    left_out: int = 0
    """Lists with nothing relevant in the head, or whose head does not fit the large ranker's context."""


async def _made(work: Work, options: Options, profile: Profile, lists: Sequence[TrainingList]) -> Made:
    async with Reranker.load(profile) as reranker:
        await reranker.start()
        tried = await _tried(work, options, reranker, lists)
        pairs = preferences(tried.trials, margin=options.margin)
        work.say(f"{len(tried.heads)} heads, {len(tried.trials)} orders tried, {len(pairs)} pairs of them")
        fitted = await asyncio.to_thread(fit, tried.heads, pairs, options, seed=work.seed)
        policies = await _policies(tried, fitted.held_out, fitted.adjuster, reranker.ranker)
    folder = work.folder / "adjuster"
    fitted.adjuster.save(folder)
    numbers = {
        "heads": len(tried.heads),
        "left out": tried.left_out,
        "orders": len(tried.trials),
        "pairs": fitted.pairs,
        "accuracy": fitted.accuracy,
        "held-out pairs": fitted.held_out_pairs,
        "held-out accuracy": fitted.held_out_accuracy,
        **{f"nDCG@10, {policy}": value for policy, value in policies.items()},
    }
    return Made({"adjuster": folder, f"profile.{options.name}": _written(work, options, profile, folder)}, numbers)


def _cascade(work: Work, options: Options) -> Profile:
    """The two rankers as they are served, with the small one's own order between them."""
    large = served(work) if options.large is None else load_profile(options.large)
    strategy = {"name": "cascade", "small": _small(work, options.small), "head": options.head}
    return large.model_copy(update={"name": options.name, "strategy": strategy})


def _small(work: Work, name: str | Path) -> str:
    """The small ranker's profile: one that is written where the run trained it."""
    trained = work.artifacts.get(f"encoder.{name}")
    if trained is None:
        return str(name)
    return str(_saved(serving(load_profile("encoder"), str(trained)), work.folder / "small.yaml"))


def _written(work: Work, options: Options, profile: Profile, folder: Path) -> Path:
    """The profile that serves the cascade with its adjuster."""
    strategy = {**profile.strategy, "adjuster": "learned", "learned": str(folder / FILE)}
    told = {"strategy": strategy, "summary": "A small ranker, a learned order of its best, a large ranker on them."}
    return _saved(profile.model_copy(update=told), work.folder / f"{options.name}.yaml")


def _saved(profile: Profile, path: Path) -> Path:
    values = profile_from(profile.public(), where=f"profile {profile.name}")
    with replacing(path) as file:
        yaml.safe_dump(values.model_dump(mode="json", exclude_defaults=True), file, sort_keys=False, allow_unicode=True)
    return path


async def _tried(work: Work, options: Options, reranker: Reranker, lists: Sequence[TrainingList]) -> Tried:
    """Every list's head in its orders; what an earlier attempt tried is not tried again."""
    mark = fingerprint(reranker.profile, work.need("lists", "synthesize"), f"{options.orders} {work.seed}")
    rows: dict[int, dict[str, Any]] = {}
    failed: list[ReasonRankError] = []
    with Journal(work.folder / "tried.jsonl", mark) as journal:
        rows = {row["list"]: row for row in journal.rows if row["list"] < len(lists)}

        async def work_on(number: int) -> dict[str, Any]:
            row = {"list": number, **await _row(number, lists[number], reranker.ranker, options, work.seed)}
            journal.add(row)
            return row

        todo = (number for number in range(len(lists)) if number not in rows)
        async with aclosing(run_all(todo, work_on, at_once=options.at_once)) as results:
            async for number, result in results:
                if isinstance(result, ReasonRankError):
                    failed.append(result)
                    continue
                rows[number] = result
                if result["trials"]:
                    work.log(len(rows), len(lists), ndcg=fmean(value for _, value in result["trials"]))
    if failed:
        message = f"{len(failed)} of {len(lists)} lists could not be tried: {failed[0]}"
        raise PartialError(message, failed=len(failed), total=len(lists))
    return _gathered(lists, rows)


async def _row(number: int, one: TrainingList, ranker: Ranker, options: Options, seed: int) -> dict[str, Any]:
    """A list's head, as places in it with what an adjuster sees, and its trials; empty where it has none."""
    candidates = [passage.candidate for passage in one.passages]
    session = Session(ranker, one.query, candidates, range(len(candidates)), [])
    staged = await session.stage("small", range(len(candidates)))
    for window in session.windows:
        if window.outcome is Outcome.ENGINE_ERROR:
            raise EngineError(window.detail, engine="small ranker")
    places = staged.order[: options.head]
    known = seen(places, staged, session)
    row = {"places": list(places), "seen": [[passage.words, passage.score] for passage in known]}
    if not any(one.grades[place] for place in places):
        return {**row, "trials": []}
    try:
        tried = await trials(number, _head(one, row), ranker.asking, orders=options.orders, seed=seed)
    except InputError as error:
        if type(error) is not InputError:  # settings are wrong for every list
            raise
        return {**row, "trials": []}
    return {**row, "trials": [[list(trial.shown), trial.value] for trial in tried]}


def _head(one: TrainingList, row: Mapping[str, Any]) -> Head:
    return Head(
        one.query,
        tuple(one.passages[place].candidate for place in row["places"]),
        tuple(Seen(words, score) for words, score in row["seen"]),
        tuple(one.grades[place] for place in row["places"]),
    )


def _gathered(lists: Sequence[TrainingList], rows: Mapping[int, Mapping[str, Any]]) -> Tried:
    """The heads in the order of their lists, whatever order they were tried in."""
    found = Tried(left_out=sum(not row["trials"] for row in rows.values()))
    for number in sorted(number for number, row in rows.items() if row["trials"]):
        place = len(found.heads)
        found.heads.append(_head(lists[number], rows[number]))
        found.trials.extend(Trial(place, tuple(order), value) for order, value in rows[number]["trials"])
    return found


async def _policies(tried: Tried, held_out: Sequence[int], adjuster: Adjuster, ranker: Ranker) -> dict[str, float]:
    """What each way of showing a head is worth, the mean over heads that were not learned from."""
    if not held_out:
        return {}
    heads = [tried.heads[number] for number in held_out]
    by_head = [[trial.value for trial in tried.trials if trial.head == number] for number in held_out]
    learned = await values(heads, [shown("learned", head.seen, adjuster=adjuster) for head in heads], ranker.asking)
    drawn = [value for found in by_head for value in found[2:]]
    return {
        "small": fmean(found[0] for found in by_head),
        "reversed": fmean(found[1] for found in by_head),
        **({"random": fmean(drawn)} if drawn else {}),
        "learned": fmean(learned),
    }
