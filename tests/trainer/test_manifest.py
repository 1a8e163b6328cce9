"""The manifest: what it holds, how files are known, and what is said of a difference."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Annotated

import pytest

from es_reasonrank import __version__
from es_reasonrank.errors import DataError
from es_reasonrank.rerank.profile import load_profile
from es_reasonrank.validation import Checked
from tests.trainer.toys import BASE, WriteOptions, recipe
from trainer.manifest import (
    FILE,
    Artifact,
    Inputs,
    Record,
    base_of,
    difference,
    digest,
    handed_on,
    inputs_of,
    new_manifest,
    paths_in,
    read_manifest,
)
from trainer.stages import Written

PROFILE = load_profile("embedded")


def inputs(**options: object) -> Inputs:
    return inputs_of(WriteOptions(**options), {}, base=base_of(BASE), profile=PROFILE, seed=0)  # type: ignore[arg-type]


def record(label: str, **values: object) -> Record:
    given = {"stage": label, "label": label, "folder": label, "status": "done", "inputs": inputs(), "started": "now"}
    return Record.model_validate({**given, **values})


def artifact(name: str) -> Artifact:
    return Artifact(path=name, sha256=name)


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    made = new_manifest(recipe().model_dump(mode="json"), PROFILE)
    done = record("first", outputs={"text": artifact("a")}, numbers={"lists": 3, "loss": 0.5, "by": {"x": {"kept": 1}}})
    made = made.model_copy(update={"records": (done,)})
    made.write(tmp_path)
    assert read_manifest(tmp_path) == made
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_it_says_what_it_was_made_with(tmp_path: Path) -> None:
    made = new_manifest(recipe(seed=5).model_dump(mode="json"), PROFILE)
    assert made.versions.keys() >= {"es-reasonrank", "torch", "transformers", "trl", "peft"}
    assert made.versions["es-reasonrank"] == __version__
    assert made.recipe["seed"] == 5
    assert made.machine["processors"] > 0
    assert made.machine["memory"].endswith("iB")


def test_it_names_the_commit_of_the_code() -> None:
    root = Path(__file__).parents[2]
    head = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode:
        pytest.skip("no git repository")
    assert new_manifest(recipe().model_dump(mode="json"), PROFILE).commit.removesuffix("+") == head.stdout.strip()


def test_there_is_none_yet(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 2}', '{"format": 1}', "\x00"])
def test_a_broken_one_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(DataError, match=r"manifest\.json: is no manifest .*; choose another folder") as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert digest(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    assert digest(tmp_path / "nothing") is None


def test_a_folder_is_known_by_its_files_and_their_names(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "b").write_bytes(b"")
    (tmp_path / "in" / "a").write_bytes(b"abc")
    empty, abc = hashlib.sha256(b"").hexdigest(), hashlib.sha256(b"abc").hexdigest()
    assert digest(tmp_path) == hashlib.sha256(f"b\0{empty}\nin/a\0{abc}\n".encode()).hexdigest()
    before = digest(tmp_path)
    (tmp_path / "in" / "a").rename(tmp_path / "in" / "c")
    assert digest(tmp_path) != before


def test_paths_are_found_at_any_depth_but_for_those_that_are_written() -> None:
    class Source(Checked):
        corpus: Path

    class Options(Checked):
        sources: tuple[Source, ...]
        named: dict[str, Path]
        target: Annotated[Path | None, Written] = None
        other: Annotated[Path | None, Written()] = None
        text: str = "no/path"

    options = Options(
        sources=(Source(corpus=Path("a")), Source(corpus=Path("b"))),
        named={"x": Path("c")},
        target=Path("d"),
        other=Path("e"),
    )
    assert list(paths_in(options)) == [Path("a"), Path("b"), Path("c")]


def test_the_same_inputs_do_not_differ() -> None:
    assert difference(inputs(word="a"), inputs(word="a")) == ""


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"seed": 1}, "the seed was 0 and is 1"),
        (
            {"options": {"lines": 3, "word": "b", "rate": 0.5, "key": None, "data": None, "target": None}},
            "its word was line and is b",
        ),
        ({"files": {"/data": "x"}}, "/data has changed"),
        ({"artifacts": {"lists": artifact("a")}}, "lists, which it was given, has changed"),
        ({"versions": {}}, f"es-reasonrank was {__version__} and is null"),
    ],
)
def test_a_difference_is_said_in_words(change: dict[str, object], sentence: str) -> None:
    assert difference(inputs(), inputs().model_copy(update=change)) == sentence


def test_a_profiles_difference_names_its_key() -> None:
    other = PROFILE.assigned(["judge.passage_tokens=40"])
    now = inputs_of(WriteOptions(), {}, base=base_of(BASE), profile=other, seed=0)
    assert difference(inputs(), now) == "the profile's judge.passage_tokens was 28 and is 40"


def test_of_one_name_the_latest_is_handed_on_and_what_is_gone_is_not() -> None:
    records = [
        record("sft", outputs={"lists": artifact("a"), "adapter": artifact("b")}),
        record("rl", outputs={"adapter": artifact("c")}),
        record("merge", outputs={"model": artifact("d")}, gone=["adapter"]),
    ]
    assert handed_on(records[:2]) == {"lists": artifact("a"), "adapter": artifact("c")}
    assert handed_on(records) == {"lists": artifact("a"), "model": artifact("d")}
