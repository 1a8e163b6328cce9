"""The comparison: every ranker on the same candidates, with tests, and nothing ranked twice."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from es_reasonrank.errors import DataError
from es_reasonrank.evaluation.runs import read_run
from es_reasonrank.rerank.fusion import Fusion
from es_reasonrank.rerank.profile import load_profile
from trainer import evaluate
from trainer.stages import Made, Work

SMOKE = Path(str(resources.files("trainer.recipes"))) / "smoke"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profiles") / "encoder.yaml"
    path.write_text(yaml.safe_dump(load_profile("encoder").model_dump(mode="json", exclude_defaults=True)))
    return path


def options(encoder: Path, **changes: Any) -> evaluate.Options:
    one = {"name": "smoke", "queries": SMOKE / "queries.jsonl", "corpus": SMOKE / "corpus.jsonl", "depth": 5}
    sets = [{**one, "qrels": SMOKE / "qrels" / "dev.tsv", "run": SMOKE / "dev.trec", **changes}]
    return evaluate.Options.model_validate({"sets": sets, "untrained": False, "profiles": {"encoder": encoder}})


def done(folder: Path, chosen: evaluate.Options) -> Made:
    folder.mkdir(exist_ok=True)
    return evaluate.run(Work(folder, {}, "embedded:smollm2-135m", load_profile("embedded"), 7), chosen)


def test_every_ranker_is_measured_and_tested_and_nothing_is_ranked_twice(tmp_path: Path, encoder: Path) -> None:
    made = done(tmp_path / "run", options(encoder))
    found = json.loads(made.artifacts["evaluation"].read_text())
    rows = {row["model"]: row for row in found["rows"]}
    assert list(rows) == ["base order", "encoder"]
    assert rows["encoder"]["ndcg"] > rows["base order"]["ndcg"]
    for row in rows.values():
        assert row["low"] <= row["ndcg"] <= row["high"]
        assert row["ndcg"] == pytest.approx(sum(row["by_query"].values()) / row["queries"])
    assert sum(rows["encoder"]["outcomes"].values()) == 5 * rows["encoder"]["queries"]
    (test,) = found["tests"]
    assert test["difference"] == pytest.approx(rows["encoder"]["ndcg"] - rows["base order"]["ndcg"])
    assert 0 <= test["p"] < 0.05
    run = tmp_path / "run" / "smoke" / "encoder.trec"
    assert {len(hits) for hits in read_run(run).values()} == {5}

    again = json.loads(done(tmp_path / "run", options(encoder)).artifacts["evaluation"].read_text())
    assert again["rows"] == found["rows"]


def test_a_ranker_joined_with_the_base_order_is_not_asked_again(tmp_path: Path, encoder: Path) -> None:
    plain = options(encoder)
    dev = plain.sets[0].model_copy(update={"name": "dev", "limit": 3})
    fused = plain.model_copy(update={"fused": Fusion(method="min_max", weight=0.0), "tuned": (dev,)})
    done(tmp_path / "run", fused)
    found = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    rows = {row["model"]: row for row in found["rows"]}
    assert list(rows) == ["base order", "encoder", "encoder, fused"]
    chosen = found["rankers"]["encoder, fused"]["profile"]["fusion"]
    assert chosen["method"] == "min_max"
    assert chosen["weight"] > 0
    served = load_profile(encoder).model_copy(update={"fusion": Fusion.model_validate(chosen)})
    path = tmp_path / "served.yaml"
    path.write_text(yaml.safe_dump(served.model_dump(mode="json", exclude_defaults=True)))
    again = json.loads(done(tmp_path / "served", options(path)).artifacts["evaluation"].read_text())
    assert again["rows"][1]["by_query"] == rows["encoder, fused"]["by_query"]


def test_models_of_the_run_stand_beside_the_untrained_one_in_every_mode(tmp_path: Path, encoder: Path) -> None:
    artifacts = {"model.sft": tmp_path / "sft", "encoder.small": tmp_path / "small", "lists": tmp_path / "lists"}
    work = Work(tmp_path, artifacts, "embedded:smollm2-135m", load_profile("embedded"), 7)
    chosen = options(encoder).model_copy(
        update={"untrained": True, "profiles": {}, "modes": {"direct": {"thinking": False, "template": "listwise"}}}
    )
    found = evaluate.rankers_of(work, chosen)
    assert list(found) == ["untrained", "sft", "small", "untrained, direct", "sft, direct"]
    assert found["sft"].engine["model"] == str(tmp_path / "sft")
    assert found["small"].judge["name"] == "encoder"
    assert found["sft, direct"].judge["thinking"] is False
    assert found["sft"].judge["thinking"] is True


def test_a_set_without_judged_queries_is_named(tmp_path: Path, encoder: Path) -> None:
    (tmp_path / "qrels.tsv").write_text("nobody 0 bread-1 1\n")
    with pytest.raises(DataError, match=r"dev\.trec: holds no query that .*qrels\.tsv judges"):
        done(tmp_path / "run", options(encoder, qrels=tmp_path / "qrels.tsv"))
