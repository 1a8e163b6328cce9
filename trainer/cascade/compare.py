"""The comparison: a cascade trained jointly by LCRON against cascades whose stages are trained each by itself.

All of them are trained on the train queries of a folder in BEIR's layout, less a share of them by which the best pass
is chosen, and measured on the dev queries, which nothing else has seen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from es_reasonrank.errors import InputError
from es_reasonrank.evaluation.measures import Scores, by_place, measure, paired_p
from es_reasonrank.evaluation.runs import Qrels, Run, read_qrels, read_queries, read_run, read_texts
from es_reasonrank.settings import ElasticSettings
from es_reasonrank.types import Candidate
from trainer.cascade.features import CHEAP, ENCODER, NAMES, Lists, Pool, lists, rarity, similarities
from trainer.cascade.models import Cascade, order
from trainer.cascade.search import bm25
from trainer.cascade.training import OBJECTIVES, CascadeTraining, Objective, recall, train

if TYPE_CHECKING:
    from torch import Tensor

REACHED = "recall of the reachable"
"""Relevant documents that come out, of those among the candidates that there is a place for."""
HELD_OUT = 0.1
"""Share of the train queries by which the best pass is chosen."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Arm:
    """Cascades of one objective, a value for each seed."""

    objective: Objective
    values: Mapping[str, tuple[float, ...]]
    """By measure: R@top and nDCG@top of what comes out, what the pre-ranker kept, and `REACHED`."""
    seconds: tuple[float, ...]
    epochs: tuple[tuple[int, int], ...]
    by_query: Mapping[str, float] = field(repr=False)
    """R@top of each dev query, the mean over seeds."""

    def mean(self, measure: str) -> float:
        """The mean over seeds."""
        return fmean(self.values[measure])

    def deviation(self, measure: str) -> float:
        """The standard deviation over seeds, of n - 1; 0 of a single one."""
        values = self.values[measure]
        return stdev(values) if len(values) > 1 else 0.0


@dataclass(frozen=True)
class CascadeReport:
    """What the comparison found."""

    data: str
    train: int
    """Lists that were learned from, held-out ones left out."""
    held_out: int
    dev: int
    """Judged dev queries; one without candidates counts as 0."""
    seeds: tuple[int, ...]
    options: CascadeTraining
    base: Mapping[str, float]
    """The candidates in the order in which the search gave them."""
    best: Mapping[str, float]
    """The same candidates in the best order there is."""
    arms: Mapping[Objective, Arm]
    p: Mapping[Objective, float]
    """Of the paired t-test of each arm's R@top against LCRON's, over the dev queries' means over seeds."""

    def rows(self) -> list[dict[str, Any]]:
        """The table: a row for the base order, each arm and the best order, with means and deviations."""
        table = [{"cascade": "base order", **self.base}]
        for name, arm in self.arms.items():
            means = {measure: arm.mean(measure) for measure in arm.values}
            spread = {f"{measure} sd": arm.deviation(measure) for measure in arm.values}
            table.append({"cascade": name, **means, **spread, "seconds": fmean(arm.seconds), "p": self.p.get(name)})
        return [*table, {"cascade": "best order", **self.best}]


def compare_cascades(
    folder: Path,
    *,
    run: Path | None = None,
    depth: int = 100,
    seeds: Sequence[int] = (0, 1, 2),
    objectives: Sequence[Objective] = OBJECTIVES,
    options: CascadeTraining | None = None,
    encoder: str = ENCODER,
    elastic: ElasticSettings | None = None,
    say: Say = lambda sentence: None,
) -> CascadeReport:
    """Train cascades by each objective and seed, and measure them.

    Args:
        folder: corpus.jsonl, queries_train.jsonl, queries_dev.jsonl, qrels/train.tsv and qrels/dev.tsv.
        run: candidates of the train and dev queries; without it, BM25's by a search of the corpus.
        depth: candidates of a query at most.
        encoder: the bi-encoder behind the costly features.
        elastic: the server that is searched where no run is given; by default the embedded one that runs.
        say: told in a sentence what takes long.

    Raises:
        DataError: a file is missing or wrong.
        InputError: the candidates hold nothing relevant.
        MissingError: there is no server, or the encoder cannot be loaded.
    """
    options = options or CascadeTraining()
    queries = {part: read_queries(folder / f"queries_{part}.jsonl") for part in ("train", "dev")}
    qrels = {part: read_qrels(folder / "qrels" / f"{part}.tsv") for part in ("train", "dev")}
    pools = _pools(folder, queries, run, depth, elastic or ElasticSettings(), say)
    whole = Pool({**queries["train"], **queries["dev"]}, {**pools["train"], **pools["dev"]})
    say("reading passages with the encoder")
    similar = similarities(whole, encoder)
    rare = rarity(_texts(pools["train"]).values())
    train_lists, dev_lists = (
        lists(Pool(queries[part], pools[part]), qrels[part], similar, rare) for part in ("train", "dev")
    )
    return compare(
        train_lists,
        dev_lists,
        qrels["dev"],
        data=folder.name,
        columns=(range(len(CHEAP)), range(len(NAMES))),
        seeds=seeds,
        objectives=objectives,
        options=options,
        say=say,
    )


def compare(
    train_lists: Lists,
    dev_lists: Lists,
    qrels: Qrels,
    *,
    data: str,
    columns: tuple[Sequence[int], Sequence[int]],
    seeds: Sequence[int],
    objectives: Sequence[Objective],
    options: CascadeTraining,
    say: Say = lambda sentence: None,
) -> CascadeReport:
    """The same, on lists of features. Each seed has its own weights, its own order of lists and its own held-out part.

    Raises:
        InputError: the lists hold nothing relevant, or there is no seed.
    """
    if not seeds:
        raise InputError("there is no seed; give at least one")
    arms = {}
    for objective in objectives:
        trials = []
        for seed in seeds:
            learned, held_out = _split(train_lists.teaching, seed)
            started = time.perf_counter()
            trained = train(learned, held_out, objective, columns=columns, options=options, seed=seed)
            trials.append((trained, time.perf_counter() - started))
            say(f"{objective}, seed {seed}: trained in {trials[-1][1]:.0f} s")
        measured = [_measured(trained.cascade, dev_lists, qrels, options) for trained, _ in trials]
        arms[objective] = Arm(
            objective,
            {name: tuple(values[name] for values, _ in measured) for name in measured[0][0]},
            tuple(seconds for _, seconds in trials),
            tuple(trained.epochs for trained, _ in trials),
            {query: fmean(by_query[query] for _, by_query in measured) for query in qrels},
        )
    learned, held_out = _split(train_lists.teaching, seeds[0])
    incoming = dev_lists.mask.float().argsort(dim=-1, descending=True, stable=True)
    best = dev_lists.relevant.argsort(dim=-1, descending=True, stable=True)
    joint = arms.get("lcron")
    return CascadeReport(
        data=data,
        train=len(learned),
        held_out=len(held_out),
        dev=len(qrels),
        seeds=tuple(seeds),
        options=options,
        base=_values(incoming, incoming, dev_lists, qrels, options)[0],
        best=_values(best, best, dev_lists, qrels, options)[0],
        arms=arms,
        p={name: paired_p(arm.by_query, joint.by_query) for name, arm in arms.items() if joint and arm is not joint},
    )


def _pools(
    folder: Path,
    queries: Mapping[str, Mapping[str, str]],
    run: Path | None,
    depth: int,
    elastic: ElasticSettings,
    say: Say,
) -> dict[str, dict[str, list[Candidate]]]:
    """The candidates of each part's queries, with their texts."""
    corpus = folder / "corpus.jsonl"
    asked = {**queries["train"], **queries["dev"]}
    if run is None:
        say(f"searching {len(asked):,} queries")
        found: Run = asyncio.run(bm25(corpus, asked, depth=depth, elastic=elastic))
    else:
        found = {name: hits for name, hits in read_run(run).items() if name in asked}
    hits = {name: documents[:depth] for name, documents in found.items()}
    texts = read_texts(corpus, {hit.id for documents in hits.values() for hit in documents})
    return {
        part: {
            name: [Candidate(hit.id, texts[hit.id].text, texts[hit.id].title, hit.score) for hit in hits[name]]
            for name in names
            if name in hits
        }
        for part, names in queries.items()
    }


def _texts(candidates: Mapping[str, Sequence[Candidate]]) -> dict[str, str]:
    """Each document's text, once."""
    return {candidate.id: candidate.text for found in candidates.values() for candidate in found}


def _split(teaching: Lists, seed: int) -> tuple[Lists, Lists]:
    """The lists to learn from, and those to choose the best pass by."""
    places = Random(seed).sample(range(len(teaching)), len(teaching))
    held_out = max(1, round(HELD_OUT * len(places)))
    return teaching.part(sorted(places[held_out:])), teaching.part(sorted(places[:held_out]))


def _measured(
    cascade: Cascade, dev: Lists, qrels: Qrels, options: CascadeTraining
) -> tuple[dict[str, float], dict[str, float]]:
    """A cascade's measures, and R@top of each query."""
    import torch

    with torch.no_grad():
        pre, ranker = cascade.scores(dev.features)
    first = order(pre, pre, dev.mask, options.keep)
    return _values(order(pre, ranker, dev.mask, options.keep), first, dev, qrels, options)


def _values(
    out: Tensor, first: Tensor, dev: Lists, qrels: Qrels, options: CascadeTraining
) -> tuple[dict[str, float], dict[str, float]]:
    """Measures of what comes out and of what the first stage keeps, and R@top of each query."""
    names = [f"R@{options.top}", f"nDCG@{options.top}"]
    last = measure(qrels, _scores(out, dev), names)
    kept = measure(qrels, _scores(first, dev), [f"R@{options.keep}"]).means
    values = {
        names[0]: last.means[names[0]],
        REACHED: recall(out, dev, options.top),
        names[1]: last.means[names[1]],
        f"pre-ranker's R@{options.keep}": kept[f"R@{options.keep}"],
    }
    return values, last.by_query[names[0]]


def _scores(ordered: Tensor, dev: Lists) -> Scores:
    """The orders as scores by document."""
    return by_place(
        {
            query: [documents[place] for place in places if place < len(documents)]
            for query, documents, places in zip(dev.queries, dev.documents, ordered.tolist(), strict=True)
        }
    )
