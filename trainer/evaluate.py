"""Evaluate: the models that a run made, side by side on the same candidates, with tests, tokens and seconds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from es_reasonrank.batch.journal import Journal
from es_reasonrank.batch.runs import Reranked, Task, rerank_tasks
from es_reasonrank.engines.embedded import resolve
from es_reasonrank.errors import PartialError, ReasonRankError
from es_reasonrank.evaluation.measures import by_place, measure, paired_p
from es_reasonrank.evaluation.provenance import fingerprint, provenance
from es_reasonrank.evaluation.runs import Qrels, write_run
from es_reasonrank.files import replacing
from es_reasonrank.rerank.fusion import Fusion
from es_reasonrank.rerank.profile import Profile, load_profile
from es_reasonrank.rerank.reranker import Reranker
from es_reasonrank.validation import Checked
from trainer.fusing import NDCG, joined, tuned
from trainer.sets import Set
from trainer.stages import Made, Work

BASE = "base order"


def _named(profile: str | Path) -> str | Path:
    """A file as a path, so that its content is looked at when a run goes on."""
    return Path(profile) if str(profile).endswith((".yaml", ".yml")) else profile


Named = Annotated[str | Path, AfterValidator(_named)]
"""A profile's name, or its file."""


class Options(Checked):
    """What is compared, on what."""

    sets: tuple[Set, ...] = Field(min_length=1, description="Dev sets.")
    untrained: bool = Field(True, description="Whether the base model takes part.")
    profiles: dict[str, Named] = Field(
        {}, description="Other rankers, by the name to show: profiles by name or file; what is deployed, say."
    )
    modes: dict[str, dict[str, Any]] = Field(
        {}, description="Each model once more with its judge changed: direct: {thinking: false, template: listwise}."
    )
    fused: Fusion | None = Field(None, description="Each ranker once more, joined with the base order.")
    tuned: tuple[Set, ...] = Field(
        (), description="Dev sets on which the weight of min_max or z is chosen, for each ranker its own."
    )
    best_of: int | None = Field(
        None,
        ge=2,
        description="Each trained model once more, its reply the best of so many by this run's reward model.",
    )
    at_once: int = Field(16, ge=1, description="Queries that are worked on at a time.")


@dataclass(frozen=True)
class Row:
    """One ranker on one set."""

    set: str
    model: str
    queries: int
    ndcg: float
    low: float
    high: float
    """Ends of the mean's 95 % bootstrap interval over queries."""
    prompt_tokens: int
    generated_tokens: int
    seconds: float
    """The sum over queries; several run at a time."""
    outcomes: dict[str, int]
    by_query: dict[str, float]


@dataclass(frozen=True)
class Test:
    """Two rankers on one set."""

    set: str
    first: str
    second: str
    difference: float
    """How much higher the second is."""
    p: float
    """Of a paired t-test over queries."""


def run(work: Work, options: Options) -> Made:
    """Rank every set with every model, and compare them; `evaluation` holds it all, with a TREC run of each.

    Raises:
        DataError: a set's file is wrong.
        PartialError: some queries could not be ranked; the others are kept, and are not ranked again.
    """
    rankers = rankers_of(work, options)
    fusions = {
        name: _fusion(work, options, options.fused, name, profile)
        for name, profile in rankers.items()
        if options.fused is not None and profile.fusion.method == "none"
    }
    rows: list[Row] = []
    for one in options.sets:
        todo, qrels = one.load()
        rows.append(_row(one.name, BASE, qrels, {task.id: [each.id for each in task.candidates] for task in todo}, []))
        for name in _made(work, "model.") if options.best_of else ():
            best = best_name(name, options.best_of)
            done = _ranked(work, one, best, rankers[name], todo, options.at_once, options.best_of)
            rows.append(_row(one.name, best, qrels, {each.id: each.order for each in done}, done))
        for name, profile in rankers.items():
            done = _ranked(work, one, name, profile, todo, options.at_once)
            rows.append(_row(one.name, name, qrels, {each.id: each.order for each in done}, done))
            if fusion := fusions.get(name):
                both = joined(fusion, todo, done)
                rows.append(_row(one.name, fused_name(name), qrels, {each.id: each.order for each in both}, both))
    rankers |= {
        fused_name(name): rankers[name].model_copy(update={"fusion": fusion}) for name, fusion in fusions.items()
    }
    tests = [test for one in options.sets for test in _tests([row for row in rows if row.set == one.name])]
    result = work.folder / "evaluation.json"
    with replacing(result) as file:
        profiles = {name: provenance(profile) for name, profile in rankers.items()}
        found = {"rows": [asdict(row) for row in rows], "tests": [asdict(test) for test in tests], "rankers": profiles}
        json.dump(found, file, ensure_ascii=False, indent=1, default=str)
    return Made({"evaluation": result}, {f"{row.set}, {row.model}": round(row.ndcg, 4) for row in rows})


def rankers_of(work: Work, options: Options) -> dict[str, Profile]:
    """Who is compared, by the name to show."""
    models = {"untrained": resolve(work.base)} if options.untrained else {}
    models |= _made(work, "model.")
    found = {name: serving(work.profile, path) for name, path in models.items()}
    found |= {name: serving(load_profile("encoder"), path) for name, path in _made(work, "encoder.").items()}
    found |= {name: load_profile(path) for name, path in _made(work, "profile.").items()}
    found |= {name: load_profile(path) for name, path in options.profiles.items()}
    for mode, changes in options.modes.items():
        found |= {
            f"{name}, {mode}": profile.model_copy(update={"judge": {**profile.judge, **changes}})
            for name, profile in list(found.items())
            if name in models
        }
    return found


def best_name(name: str, n: int | None) -> str:
    """What a model is called where the reward model chooses among its replies."""
    return f"{name}, best of {n}"


def fused_name(name: str) -> str:
    """What a ranker is called where it is joined with the base order."""
    return f"{name}, fused"


def _fusion(work: Work, options: Options, fusion: Fusion, name: str, profile: Profile) -> Fusion:
    """A ranker's fusion, its weight chosen on the dev sets where there are any."""
    sets = []
    for one in options.tuned:
        todo, qrels = one.load()
        sets.append((todo, qrels, _ranked(work, one, name, profile, todo, options.at_once)))
    if not sets:
        return fusion
    found = tuned(fusion, sets)
    work.say(f"{name}: weight {found.weight:g} in the fusion")
    return found


def _made(work: Work, kind: str) -> dict[str, str]:
    """What the run made of a kind, by its name."""
    return {name.removeprefix(kind): str(path) for name, path in work.artifacts.items() if name.startswith(kind)}


def serving(profile: Profile, model: str) -> Profile:
    """The profile with another model."""
    return profile.model_copy(update={"engine": {**profile.engine, "model": model}})


def _ranked(
    work: Work, one: Set, name: str, profile: Profile, todo: Sequence[Task], at_once: int, best: int | None = None
) -> list[Reranked]:
    """Every query's order; what an earlier try did is not done again.

    Args:
        best: replies of which the reward model chooses; None where there is but one.
    """
    work.say(f"{one.name}: {name}")
    return asyncio.run(_reranked(work, one, name, profile, todo, at_once, best))


def _ranker(work: Work, profile: Profile, best: int | None) -> Reranker:
    if best is None:
        return Reranker.load(profile)
    from trainer.reward_model.best import best_of
    from trainer.reward_model.model import RewardModel

    return best_of(profile, RewardModel(work.need("reward_model", "reward")), best, seed=work.seed)


async def _reranked(
    work: Work, one: Set, name: str, profile: Profile, todo: Sequence[Task], at_once: int, best: int | None
) -> list[Reranked]:
    mark = fingerprint(profile, one.queries, one.corpus, one.run, str(one.depth))
    target = work.folder / one.name / f"{name.replace('/', '_')}.trec"
    done: list[Reranked] = []
    failed: list[ReasonRankError] = []
    with Journal(target.with_suffix(".jsonl"), mark) as journal:
        async with _ranker(work, profile, best) as reranker:
            async for _, result in rerank_tasks(reranker, todo, journal, at_once=at_once):
                if isinstance(result, ReasonRankError):
                    failed.append(result)
                else:
                    done.append(result)
    if failed:
        raise PartialError(
            f"{one.name}: {len(failed)} of {len(todo)} queries could not be ranked by {name}: {failed[0]}",
            failed=len(failed),
            total=len(todo),
        )
    write_run(target, {each.id: each.order for each in done}, tag=mark[:8])
    return done


def _row(name: str, model: str, qrels: Qrels, orders: Mapping[str, Sequence[str]], done: Sequence[Reranked]) -> Row:
    values = measure(qrels, by_place(orders), [NDCG])
    low, high = interval(list(values.by_query[NDCG].values()))
    outcomes: dict[str, int] = {}
    for each in done:
        for outcome, count in each.outcomes.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
    return Row(
        set=name,
        model=model,
        queries=len(qrels),
        ndcg=values.means[NDCG],
        low=low,
        high=high,
        prompt_tokens=sum(each.prompt_tokens for each in done),
        generated_tokens=sum(each.generated_tokens for each in done),
        seconds=round(sum(each.seconds for each in done), 2),
        outcomes=outcomes,
        by_query=values.by_query[NDCG],
    )


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of a mean: percentiles of 10,000 bootstrap samples, seeded."""
    import numpy as np
    from scipy import stats

    if len(set(values)) < 2:
        return values[0], values[0]
    found = stats.bootstrap((np.array(values),), np.mean, n_resamples=10_000, method="percentile", rng=7)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _tests(rows: Sequence[Row]) -> list[Test]:
    """Every pair of one set."""
    return [
        Test(first.set, first.model, second.model, second.ndcg - first.ndcg, paired_p(first.by_query, second.by_query))
        for first, second in combinations(rows, 2)
    ]
