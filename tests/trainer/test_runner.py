"""The runner: what is done once is not done again, and nothing that is finished is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from es_reasonrank.errors import DataError, EngineError, MissingError, ReasonRankError, SettingsError
from tests.trainer.toys import STAGES, Write, WriteOptions, recipe, runner
from trainer.cli import root
from trainer.manifest import FILE, Manifest, read_manifest
from trainer.recipe import Recipe
from trainer.runner import Runner, Watch
from trainer.stages import Made, Work

ROOT = Path(__file__).parents[2]


def text(folder: Path, stage: str) -> list[str]:
    return (folder / stage / f"{stage}.txt").read_text().splitlines()


def todo(planned: Any) -> dict[str, str]:
    return {each.step.label: each.todo for each in planned}


def finished(folder: Path) -> Manifest:
    manifest = read_manifest(folder)
    assert manifest is not None
    return manifest


@contextmanager
def elsewhere(folder: Path, made: Recipe, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The run in a process of its own, which is killed at the end."""
    path = folder.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(made.model_dump(mode="json")))
    words = [sys.executable, "-m", "tests.trainer.toys", str(path), str(folder)]
    with subprocess.Popen(
        words, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def heard(process: subprocess.Popen[str], beginning: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(beginning):
            return
    pytest.fail(f"never said: {beginning}")


def test_a_stage_is_given_what_earlier_ones_handed_on(tmp_path: Path) -> None:
    manifest = runner(tmp_path, recipe()).run()
    assert [record.status for record in manifest.records] == ["done"] * 3
    assert [record.numbers["given"] for record in manifest.records] == [
        [],
        ["01-first", "text"],
        ["01-first", "02-second", "text"],
    ]
    assert manifest.records[2].inputs.artifacts["text"].path == "02-second/02-second.txt"
    assert text(tmp_path, "03-third")[2].startswith("line 2 by ")


def test_an_artifact_that_ends_is_not_handed_on(tmp_path: Path) -> None:
    manifest = runner(tmp_path, recipe(["first", "end", "third"])).run()
    assert manifest.records[1].numbers["given"] == ["01-first", "text"]
    assert manifest.records[2].numbers["given"] == ["02-end", "text"]


def test_nothing_runs_again_where_nothing_has_changed(tmp_path: Path) -> None:
    first = runner(tmp_path, recipe()).run()
    said: list[str] = []
    second = runner(tmp_path, recipe(), said).run()
    assert second.records == first.records
    assert second.created == first.created
    assert said == [f"{name} is kept: nothing has changed" for name in ("first", "second", "third")]


def test_a_secret_does_not_stand_in_the_manifest(tmp_path: Path) -> None:
    manifest = runner(tmp_path, recipe([{"first": {"key": "s3cret", "word": "told"}}])).run()
    assert manifest.recipe["stages"] == [{"first": {"key": "**********", "word": "told"}}]
    assert all("s3cret" not in path.read_text() for path in (tmp_path / FILE, tmp_path / "report.html"))


def test_whoever_waits_sees_steps_and_metrics(tmp_path: Path) -> None:
    seen: list[tuple[Any, ...]] = []
    watch = Watch(begin=lambda label: seen.append((label,)), progress=lambda *told: seen.append(told))
    Runner(recipe([{"first": {"lines": 2}}]), tmp_path, find=STAGES.__getitem__, watch=watch).run()
    assert seen == [("first",), (1, None, {"loss": 1.0}), (2, None, {"loss": 0.5})]


def test_a_stage_that_its_owner_ends_goes_on_later(tmp_path: Path) -> None:
    class Ended(Write):
        def run(self, work: Work, options: WriteOptions) -> Made:
            super().run(work, options)
            raise KeyboardInterrupt

    said: list[str] = []
    ending = Runner(recipe(["first"]), tmp_path, find={"first": Ended()}.__getitem__, watch=Watch(say=said.append))
    with pytest.raises(KeyboardInterrupt):
        ending.run()
    assert said[-1] == "first is interrupted; what is finished is kept, run it again to go on"
    assert finished(tmp_path).records[0].status == "interrupted"
    assert todo(runner(tmp_path, recipe(["first"])).plan()) == {"first": "go on"}


def test_a_run_may_be_moved(tmp_path: Path) -> None:
    runner(tmp_path / "here", recipe()).run()
    (tmp_path / "here").rename(tmp_path / "there")
    assert set(todo(runner(tmp_path / "there", recipe()).plan()).values()) == {"keep"}


def test_a_changed_option_runs_its_stage_again_and_all_behind_it(tmp_path: Path) -> None:
    runner(tmp_path, recipe()).run()
    before = finished(tmp_path).records[0]
    said: list[str] = []
    changed = recipe().assigned(["second.word=other"])
    runner(tmp_path, changed, said).run()
    assert finished(tmp_path).records[0] == before
    assert text(tmp_path, "02-second")[0].startswith("other 0")
    assert "second runs: its word was line and is other" in said
    assert "third runs: second before it runs" in said
    assert (tmp_path / "superseded/02-second.1/02-second.txt").read_text().startswith("line 0")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (recipe(seed=1), "the seed was 0 and is 1"),
        (recipe(base="other"), "the base model's name was embedded:smollm2-135m and is other"),
        (recipe(profile="reasonrank"), "the profile's name was embedded and is reasonrank"),
    ],
)
def test_what_concerns_every_stage_runs_all_of_them_again(tmp_path: Path, changed: Recipe, why: str) -> None:
    runner(tmp_path, recipe()).run()
    planned = runner(tmp_path, changed).plan()
    assert planned[0].why == why
    assert set(todo(planned).values()) == {"run"}


def test_another_version_runs_all_again(tmp_path: Path) -> None:
    runner(tmp_path, recipe()).run()
    path = tmp_path / FILE
    values = json.loads(path.read_text())
    now = values["records"][0]["inputs"]["versions"]["trl"]
    values["records"][0]["inputs"]["versions"]["trl"] = "0.1"
    path.write_text(json.dumps(values))
    assert runner(tmp_path, recipe()).plan()[0].why == f"trl was 0.1 and is {now}"


def test_a_file_that_options_name_counts_by_its_content(tmp_path: Path) -> None:
    data, folder = tmp_path / "data.txt", tmp_path / "run"
    data.write_text("one")
    made = recipe(["first", {"second": {"data": str(data)}}])
    runner(folder, made).run()
    data.touch()
    assert todo(runner(folder, made).plan()) == {"first": "keep", "second": "keep"}
    data.write_text("two")
    planned = runner(folder, made).plan()
    assert todo(planned) == {"first": "keep", "second": "run"}
    assert planned[1].why == f"{data} has changed"


def test_a_file_that_a_stage_writes_is_no_input(tmp_path: Path) -> None:
    target, folder = tmp_path / "target.txt", tmp_path / "run"
    made = recipe([{"first": {"target": str(target)}}])
    runner(folder, made).run()
    target.write_text("written")
    assert todo(runner(folder, made).plan()) == {"first": "keep"}


def test_a_base_model_in_a_folder_counts_by_its_files(tmp_path: Path) -> None:
    base, folder = tmp_path / "model", tmp_path / "run"
    base.mkdir()
    (base / "weights").write_text("one")
    runner(folder, recipe(base=str(base))).run()
    (base / "weights").write_text("two")
    assert runner(folder, recipe(base=str(base))).plan()[0].why.startswith("the base model's sha256 was ")


def test_a_missing_file_is_found_before_anything_starts(tmp_path: Path) -> None:
    made = recipe(["first", {"second": {"data": str(tmp_path / "nowhere.txt")}}])
    with pytest.raises(MissingError, match=r"stage second names .*nowhere\.txt, which does not exist"):
        runner(tmp_path / "run", made).run()
    assert not (tmp_path / "run" / "01-first").exists()


@pytest.mark.parametrize(("gone", "why"), [(False, "has changed"), (True, "is gone")])
def test_a_tampered_output_is_made_again(tmp_path: Path, gone: bool, why: str) -> None:
    runner(tmp_path, recipe()).run()
    path = tmp_path / "02-second/02-second.txt"
    if gone:
        path.unlink()
    else:
        path.write_text(path.read_text().replace("line 1", "line 7"))
    planned = runner(tmp_path, recipe()).plan()
    assert todo(planned) == {"first": "keep", "second": "run", "third": "run"}
    assert planned[1].why == f"text, which second made, {why}"
    runner(tmp_path, recipe()).run()
    assert text(tmp_path, "02-second")[1].startswith("line 1")


def test_a_stage_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    folder, made = tmp_path / "run", recipe(["first", {"second": {"lines": 40}}, "third"])
    with elsewhere(folder, made, TOY_PAUSE="0.05") as process:
        path = folder / "02-second/02-second.txt"
        wait_for(lambda: path.exists() and len(path.read_text().splitlines()) >= 3)
    before = text(folder, "02-second")
    assert 3 <= len(before) < 40
    assert [record.status for record in finished(folder).records] == ["done", "running"]
    said: list[str] = []
    manifest = runner(folder, made, said).run()
    assert said[:2] == ["first is kept: nothing has changed", "second goes on: it was interrupted"]
    assert text(folder, "02-second")[: len(before)] == before
    assert len(text(folder, "02-second")) == 40
    assert all(line.endswith(f" by {process.pid}") for line in before)
    assert text(folder, "02-second")[-1].endswith(f" by {os.getpid()}")
    assert [record.attempts for record in manifest.records] == [1, 2, 1]


def test_a_run_that_is_killed_between_stages_goes_on_with_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with elsewhere(folder, recipe(), TOY_STOP="second runs") as process:
        heard(process, "second runs")
    assert [record.status for record in finished(folder).records] == ["done"]
    manifest = runner(folder, recipe()).run()
    assert all(line.endswith(f" by {process.pid}") for line in text(folder, "01-first"))
    assert all(line.endswith(f" by {os.getpid()}") for line in text(folder, "02-second"))
    assert [record.attempts for record in manifest.records] == [1, 1, 1]


def test_an_interrupted_stage_starts_over_where_it_is_asked_otherwise(tmp_path: Path) -> None:
    folder, made = tmp_path / "run", recipe([{"first": {"lines": 40}}])
    with elsewhere(folder, made, TOY_PAUSE="0.05"):
        wait_for(lambda: (folder / "01-first/01-first.txt").exists())
    runner(folder, made.assigned(["first.word=other"])).run()
    assert text(folder, "01-first")[0].startswith("other 0")
    assert (folder / "superseded/01-first.1/01-first.txt").read_text().startswith("line 0")


def test_two_runs_of_a_folder_are_not_at_work_at_once(tmp_path: Path) -> None:
    folder, made = tmp_path / "run", recipe()
    with elsewhere(folder, made, TOY_STOP="second runs") as process:
        heard(process, "second runs")
        with pytest.raises(ReasonRankError, match=r"another run is at work in .*run; wait for it"):
            runner(folder, made).run()
    assert len(runner(folder, made).run().records) == 3


def test_an_error_is_one_sentence_and_what_is_finished_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_BROKEN", "02-second")
    with pytest.raises(EngineError) as caught:
        runner(tmp_path, recipe()).run()
    assert str(caught.value) == "stage second: the engine is broken; what is finished is kept, run it again to go on"
    assert caught.value.exit_code == 6
    records = finished(tmp_path).records
    assert [(record.status, record.error) for record in records] == [("done", ""), ("failed", "the engine is broken")]
    assert "the engine is broken" in (tmp_path / "report.html").read_text()


def test_a_failed_stage_goes_on_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_BROKEN", "02-second")
    with pytest.raises(EngineError):
        runner(tmp_path, recipe()).run()
    before = (tmp_path / "02-second/02-second.txt").stat().st_mtime_ns
    monkeypatch.delenv("TOY_BROKEN")
    planned = runner(tmp_path, recipe()).plan()
    assert [(each.todo, each.why) for each in planned[1:]] == [("go on", "it failed"), ("run", "it has not run")]
    manifest = runner(tmp_path, recipe()).run()
    assert (tmp_path / "02-second/02-second.txt").stat().st_mtime_ns == before
    assert [(record.status, record.attempts, record.error) for record in manifest.records] == [
        ("done", 1, ""),
        ("done", 2, ""),
        ("done", 1, ""),
    ]


def test_a_run_ends_where_it_is_told_to_and_goes_on_later(tmp_path: Path) -> None:
    assert len(runner(tmp_path, recipe()).run(until="second").records) == 2
    assert todo(runner(tmp_path, recipe()).plan()) == {"first": "keep", "second": "keep", "third": "run"}


def test_what_is_behind_the_end_stays_where_nothing_before_it_runs(tmp_path: Path) -> None:
    runner(tmp_path, recipe()).run()
    assert len(runner(tmp_path, recipe()).run(until="second").records) == 3


def test_a_run_begins_anew_where_it_is_told_to(tmp_path: Path) -> None:
    first = runner(tmp_path, recipe()).run()
    said: list[str] = []
    second = runner(tmp_path, recipe(), said).run(start="second")
    assert second.records[0] == first.records[0]
    assert said[:2] == ["first is kept: it is taken as it is", "second runs: it was asked for"]
    assert (tmp_path / "superseded/02-second.1").is_dir()
    assert (tmp_path / "superseded/03-third.1").is_dir()


def test_stages_before_the_beginning_are_taken_as_they_are(tmp_path: Path) -> None:
    runner(tmp_path, recipe()).run()
    changed = recipe().assigned(["first.word=other"])
    assert todo(runner(tmp_path, changed).plan()) == {"first": "run", "second": "run", "third": "run"}
    assert todo(runner(tmp_path, changed).plan(start="second")) == {"first": "keep", "second": "run", "third": "run"}


def test_a_run_cannot_begin_behind_what_is_not_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner(tmp_path, recipe()).run(until="first")
    with pytest.raises(SettingsError, match="stage second is not finished, so a run cannot start from third"):
        runner(tmp_path, recipe()).run(start="third")
    (tmp_path / "01-first/01-first.txt").write_text("tampered")
    with pytest.raises(SettingsError, match="text, which first made, has changed, so a run cannot start from second"):
        runner(tmp_path, recipe()).run(start="second")


def test_an_error_behind_a_beginning_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner(tmp_path, recipe()).run()
    monkeypatch.setenv("TOY_BROKEN", "03-third")
    with pytest.raises(EngineError, match="run it again with --from third to go on"):
        runner(tmp_path, recipe()).run(start="second")
    monkeypatch.delenv("TOY_BROKEN")
    assert todo(runner(tmp_path, recipe()).plan(start="third")) == {"first": "keep", "second": "keep", "third": "go on"}


def test_the_end_stands_behind_the_beginning(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="stage 'third' comes behind stage 'first'"):
        runner(tmp_path, recipe()).plan(start="third", until="first")


def test_a_stage_that_comes_twice_has_two_folders(tmp_path: Path) -> None:
    made = recipe(["first", {"second": {"word": "easy"}}, {"second": {"word": "hard"}}])
    manifest = runner(tmp_path, made).run()
    assert [record.folder for record in manifest.records] == ["01-first", "02-second-1", "03-second-2"]
    assert text(tmp_path, "03-second-2")[0].startswith("hard")
    assert todo(runner(tmp_path, made.assigned(["second-2.word=harder"])).plan()) == {
        "first": "keep",
        "second-1": "keep",
        "second-2": "run",
    }


def test_a_stage_that_is_put_in_runs_with_all_behind_it(tmp_path: Path) -> None:
    runner(tmp_path, recipe(["first", "third"])).run()
    manifest = runner(tmp_path, recipe()).run()
    assert [record.folder for record in manifest.records] == ["01-first", "02-second", "03-third"]
    assert (tmp_path / "superseded/02-third.1").is_dir()
    assert not (tmp_path / "02-third").exists()


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "01-first").mkdir()
    with pytest.raises(SettingsError, match="holds other things than a run; name an empty one"):
        runner(tmp_path, recipe()).run()


def test_a_folder_of_another_recipe_is_left_alone(tmp_path: Path) -> None:
    runner(tmp_path, recipe()).run()
    with pytest.raises(SettingsError, match="holds a run of recipe toy; name another with --folder"):
        runner(tmp_path, recipe(name="other")).run()


def test_a_stage_that_hands_on_nothing_fails(tmp_path: Path) -> None:
    class Liar(Write):
        def run(self, work: Work, options: WriteOptions) -> Made:
            return Made({"lists": work.folder / "lists.jsonl"})

    liar = Runner(recipe(["first"]), tmp_path, find={"first": Liar()}.__getitem__)
    with pytest.raises(DataError, match=r"lists\.jsonl: is not there, and was to be handed on as 'lists'"):
        liar.run()
    assert finished(tmp_path).records[0].status == "failed"


def test_an_error_that_nobody_foresaw_is_recorded(tmp_path: Path) -> None:
    class Careless(Write):
        def run(self, work: Work, options: WriteOptions) -> Made:
            raise ZeroDivisionError("oh")

    with pytest.raises(ZeroDivisionError):
        Runner(recipe(["first"]), tmp_path, find={"first": Careless()}.__getitem__).run()
    assert finished(tmp_path).records[0].error == "ZeroDivisionError: oh"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A base model's folder that holds a configuration and no weights."""
    folder = tmp_path / "small"
    folder.mkdir()
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "vocab_size": 10}
    values = {"model_type": "llama", **sizes, "num_attention_heads": 2, "num_key_value_heads": 2}
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def test_too_little_memory_is_told_before_anything_starts(tmp_path: Path, small: Path) -> None:
    made = recipe(["first", "train"], base=str(small))
    with pytest.raises(MissingError, match=r"stage train: training needs about .* GiB and .* left; train fewer or"):
        runner(tmp_path / "run", made).run()
    assert not (tmp_path / "run" / "01-first").exists()
    assert len(runner(tmp_path / "run", made).run(check_memory=False).records) == 2


def test_a_base_model_that_is_not_there_leaves_the_memory_unknown(tmp_path: Path) -> None:
    said: list[str] = []
    runner(tmp_path / "run", recipe(["train"], base=str(tmp_path / "nowhere")), said).run()
    assert said[0].startswith("the memory that training takes is not known: model folder ")


def test_the_command_says_what_it_would_do(tmp_path: Path) -> None:
    path, folder = tmp_path / "recipe.yaml", tmp_path / "run"
    path.write_text(yaml.safe_dump({**recipe().model_dump(mode="json"), "stages": [{"deploy": {"model": "sft"}}]}))
    words = [str(path), "--folder", str(folder), "--dry-run", "--json"]
    found = json.loads(CliRunner().invoke(root, ["run", *words]).stdout)
    assert found["stages"] == [{"stage": "deploy", "todo": "run", "why": "it has not run", "bytes": None}]
    assert not folder.exists()


def test_the_command_fails_with_the_stages_own_error(tmp_path: Path) -> None:
    path, folder = tmp_path / "recipe.yaml", tmp_path / "run"
    path.write_text(yaml.safe_dump({**recipe().model_dump(mode="json"), "stages": [{"deploy": {"model": "sft"}}]}))
    result = CliRunner().invoke(root, ["run", str(path), "--folder", str(folder)])
    assert isinstance(result.exception, MissingError)
    assert str(result.exception).startswith("stage deploy: there is no 'evaluation' yet; run evaluate first")


def test_the_command_knows_the_nearest_key(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({**recipe().model_dump(mode="json"), "stages": [{"deploy": {"model": "sft"}}]}))
    result = CliRunner().invoke(root, ["run", str(path), "--set", "deploy.margn=0.1", "--dry-run"])
    assert str(result.exception) == "recipe toy, stage deploy: unknown key 'margn' (did you mean 'margin'?)"
