"""The comparison of cascades, and its table."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from es_reasonrank.errors import DataError, InputError
from es_reasonrank.evaluation.runs import Qrels
from es_reasonrank.settings import ElasticSettings
from tests.trainer.cascade.synthetic import COLUMNS, OPTIONS, trade_off
from trainer.cascade.compare import REACHED, compare, compare_cascades
from trainer.cascade.features import Lists
from trainer.cascade.search import bm25
from trainer.cascade.training import CascadeTraining

TOPICS = ["sky", "sea", "salt", "rain", "wind", "snow", "moon", "star", "tree", "leaf", "bird", "fish"]


def judged(lists: Lists) -> Qrels:
    return {
        query: {document: int(grade) for document, grade in zip(documents, grades, strict=True)}
        for query, documents, grades in zip(lists.queries, lists.documents, lists.relevant.tolist(), strict=True)
    }


def test_it_tells_means_deviations_and_significance_over_seeds() -> None:
    dev = trade_off(60, 2)
    report = compare(
        trade_off(200, 0),
        dev,
        judged(dev),
        data="trade-off",
        columns=COLUMNS,
        seeds=(0, 1),
        objectives=("bce", "lcron"),
        options=OPTIONS,
    )
    assert (report.train, report.held_out, report.dev, report.seeds) == (180, 20, 60, (0, 1))
    joint, alone = report.arms["lcron"], report.arms["bce"]
    values = joint.values["R@3"]
    assert joint.mean("R@3") == pytest.approx(sum(values) / 2)
    assert joint.deviation("R@3") == pytest.approx(abs(values[0] - values[1]) / math.sqrt(2))
    assert joint.mean("R@3") == pytest.approx(sum(joint.by_query.values()) / 60)
    assert joint.mean("R@3") > alone.mean("R@3")
    assert report.p.keys() == {"bce"}
    assert report.p["bce"] < 0.05
    rows = report.rows()
    assert [row["cascade"] for row in rows] == ["base order", "bce", "lcron", "best order"]
    assert rows[2]["R@3"] == joint.mean("R@3")
    assert rows[2]["R@3 sd"] == joint.deviation("R@3")
    assert rows[1]["p"] == report.p["bce"]
    assert rows[2]["p"] is None


def test_base_and_best_order_by_hand() -> None:
    """Relevant at places 1 and 4 of one query, and nothing found for the other: half of every measure at most."""
    train = trade_off(20, 0)
    dev = Lists(
        ("1",),
        (("a", "b", "c", "d"),),
        torch.zeros(1, 5, 3),
        torch.tensor([[True, True, True, True, False]]),
        torch.tensor([[1.0, 0.0, 0.0, 1.0, 0.0]]),
    )
    report = compare(
        train,
        dev,
        {"1": {"a": 1, "d": 1}, "2": {"z": 1}},
        data="",
        columns=COLUMNS,
        seeds=(0,),
        objectives=("bce",),
        options=OPTIONS.model_copy(update={"epochs": 1}),
    )
    ideal = 1 + 1 / math.log2(3)
    assert report.base == pytest.approx(
        {"R@3": 0.25, REACHED: 0.5, "nDCG@3": 0.5 / ideal, "pre-ranker's R@12": 0.5}, abs=1e-4
    )
    assert report.best == pytest.approx({"R@3": 0.5, REACHED: 1, "nDCG@3": 0.5, "pre-ranker's R@12": 0.5})
    assert report.arms["bce"].deviation("R@3") == 0
    assert not report.p


def test_no_seed() -> None:
    lists = trade_off(4, 0)
    with pytest.raises(InputError, match="no seed"):
        compare(lists, lists, {}, data="", columns=COLUMNS, seeds=(), objectives=("bce",), options=OPTIONS)


def beir(folder: Path) -> Path:
    """A folder in BEIR's layout: two documents a topic, one of which answers its question."""
    corpus = [
        {"_id": f"{topic}-{kind}", "title": topic, "text": text}
        for topic in TOPICS
        for kind, text in (("yes", f"This explains the {topic} at length."), ("no", f"A song names the {topic} once."))
    ]
    files = {"corpus": corpus}
    for part, topics in (("train", TOPICS), ("dev", TOPICS[:4])):
        files[f"queries_{part}"] = [{"_id": f"{part}-{topic}", "text": f"what is the {topic}"} for topic in topics]
        lines = ["query-id\tcorpus-id\tscore", *(f"{part}-{topic}\t{topic}-yes\t1" for topic in topics)]
        (folder / "qrels").mkdir(exist_ok=True)
        (folder / "qrels" / f"{part}.tsv").write_text("\n".join(lines))
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_folder_and_a_run_are_enough(tmp_path: Path) -> None:
    folder, run = beir(tmp_path), tmp_path / "base.trec"
    names = [*(f"train-{topic}" for topic in TOPICS), *(f"dev-{topic}" for topic in TOPICS[:4])]
    run.write_text(
        "".join(
            f"{name} Q0 {name.partition('-')[2]}-{kind} {rank} {3 - rank} base\n"
            for name in names
            for rank, kind in enumerate(("no", "yes"), start=1)
        )
    )
    said: list[str] = []
    report = compare_cascades(
        folder, run=run, seeds=(0,), options=CascadeTraining(keep=2, top=1, epochs=3), say=said.append
    )
    assert (report.train, report.held_out, report.dev) == (11, 1, 4)
    assert report.base["R@1"] == 0
    assert report.best["R@1"] == 1
    assert report.arms.keys() == {"bce", "softmax", "lcron"}
    assert all(0 <= arm.mean("R@1") <= 1 for arm in report.arms.values())
    assert said[0] == "reading passages with the encoder"


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    (beir(tmp_path) / "queries_dev.jsonl").unlink()
    with pytest.raises(DataError, match=r"queries_dev\.jsonl: cannot be read"):
        compare_cascades(tmp_path, run=tmp_path / "base.trec")


@pytest.mark.one_version
async def test_candidates_come_from_the_bridges_own_search(elastic_url: str, es: object, tmp_path: Path) -> None:
    folder = beir(tmp_path)
    settings = ElasticSettings(url=elastic_url)
    run = await bm25(folder / "corpus.jsonl", {"1": "song of the sea", "2": "zzz"}, depth=3, elastic=settings)
    assert run["1"][0].id == "sea-no"
    assert len(run["1"]) == 3
    assert run["1"] == sorted(run["1"], key=lambda hit: -hit.score)
    assert run["2"] == []
    assert not await es.indices.get(index="es-reasonrank-cascade-*")  # type: ignore[attr-defined]
