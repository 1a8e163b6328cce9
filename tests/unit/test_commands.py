"""Commands that need neither a server nor a model, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from es_reasonrank import settings
from es_reasonrank.batch.journal import Journal
from es_reasonrank.cli import root
from es_reasonrank.cli.group import run
from es_reasonrank.errors import DataError, ReasonRankError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings, "config_file", lambda: tmp_path / "user.yaml")
    return tmp_path


def typed(*arguments: str) -> Result:
    return CliRunner().invoke(root, arguments, standalone_mode=False)


class TestEvaluate:
    @pytest.fixture(autouse=True)
    def files(self, folder: Path) -> None:
        (folder / "qrels.tsv").write_text("q1 0 a 2\nq1 0 b 0\nq2 0 c 1\n")
        (folder / "good.trec").write_text("q1 Q0 a 1 9 t\nq1 Q0 b 2 8 t\nq2 Q0 c 1 9 t\n")
        (folder / "bad.trec").write_text("q1 Q0 b 1 9 t\nq1 Q0 a 2 8 t\n")

    def test_measures_by_their_names(self) -> None:
        result = typed("evaluate", "--qrels", "qrels.tsv", "--run", "good.trec", "--run", "bad.trec")
        lines = result.output.splitlines()
        assert lines[0].split() == ["run", "nDCG@10", "RR@10", "R@100", "Judged@10", "queries", "p"]
        assert lines[1].split()[:3] == ["good.trec", "1.0000", "1.0000"]
        assert lines[2].split()[:5] == ["bad.trec", "0.3155", "0.2500", "0.5000", "0.5000"]

    def test_json_with_every_query(self) -> None:
        rows = json.loads(
            typed("evaluate", "--qrels", "qrels.tsv", "--run", "good.trec", "--by-query", "--json").output
        )
        assert rows[0]["nDCG@10"] == 1.0
        assert rows[0]["by_query"]["RR@10"] == {"q1": 1.0, "q2": 1.0}

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["--qrels", "none", "--run", "good.trec"], "none: cannot be read"),
            (["--qrels", "qrels.tsv", "--run", "qrels.tsv"], "qrels.tsv, line 1: a run's line has six columns"),
            (["--qrels", "qrels.tsv", "--run", "good.trec", "--measure", "what@3"], "unknown measure 'what@3'"),
        ],
    )
    def test_what_is_wrong(self, arguments: list[str], sentence: str) -> None:
        error = typed("evaluate", *arguments).exception
        assert isinstance(error, ReasonRankError)
        assert sentence in str(error)
        assert error.exit_code == 2


class TestProfiles:
    def test_listing_is_the_default(self) -> None:
        assert typed("profiles").output == typed("profiles", "list").output
        assert "reasonrank" in typed("profiles").output

    def test_json(self) -> None:
        assert {row["name"] for row in json.loads(typed("profiles", "list", "--json").output)} >= {
            "reasonrank",
            "encoder",
        }

    def test_what_is_shown_is_a_profile(self, folder: Path) -> None:
        shown = typed("profiles", "show", "reasonrank").output
        assert yaml.safe_load(shown)["strategy"] == {"name": "sliding", "window": 20, "stride": 10}
        (folder / "mine.yaml").write_text(shown)
        assert (
            typed("profiles", "show", "mine.yaml", "--json").output
            == typed("profiles", "show", "reasonrank", "--json").output
        )


class TestConfig:
    def test_where_each_value_comes_from(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "es_reasonrank.yaml").write_text("elastic: {url: http://es:9200}\n")
        monkeypatch.setenv("ES_REASONRANK_ELASTIC_API_KEY", "very-secret")
        result = typed("config", "show", "--json")
        rows = {row["key"]: row for row in json.loads(result.output)}
        assert (rows["elastic.url"]["value"], rows["elastic.url"]["origin"]) == ("http://es:9200", "es_reasonrank.yaml")
        assert rows["elastic.api_key"]["value"] == "********"
        assert rows["elastic.api_key"]["origin"] == "environment variable ES_REASONRANK_ELASTIC_API_KEY"
        assert rows["profile"]["origin"] == "default"
        assert "very-secret" not in result.output + typed("config", "show").output

    def test_paths(self) -> None:
        assert set(json.loads(typed("config", "path", "--json").output)) == {
            "project settings",
            "user settings",
            "cache",
            "data",
        }


class TestEdge:
    """Errors become one line and a code."""

    @pytest.mark.parametrize(
        ("arguments", "code", "text"),
        [
            (["profiles", "show", "nothing"], 2, "error: unknown profile 'nothing'"),
            (["nonsense"], 2, "No such command 'nonsense'"),
            (["rerank"], 2, "Missing option '--run'"),
            (["evaluate", "--qrels", "x", "--run", "y"], 2, "error: x: cannot be read"),
        ],
    )
    def test_codes(
        self,
        arguments: list[str],
        code: int,
        text: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr("sys.argv", ["es-reasonrank", *arguments])
        assert run(root, "es-reasonrank") == code
        captured = capsys.readouterr()
        assert text in captured.err
        assert captured.out == ""
        assert "Traceback" not in captured.err

    def test_what_nobody_foresaw_is_one_line_too(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def broken() -> None:
            raise RuntimeError("surprise")

        monkeypatch.setattr("es_reasonrank.cli.profiles.profile_names", broken)
        monkeypatch.setattr("sys.argv", ["es-reasonrank", "profiles"])
        assert run(root, "es-reasonrank") == 1
        assert capsys.readouterr().err.startswith("error: internal error (RuntimeError: surprise)")

    def test_an_interrupt(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        def interrupted() -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("es_reasonrank.cli.profiles.profile_names", interrupted)
        monkeypatch.setattr("sys.argv", ["es-reasonrank", "profiles"])
        assert run(root, "es-reasonrank") == 130


class TestJournal:
    """What stands in it survives; what is half written does not harm."""

    def test_rows_are_there_again(self, folder: Path) -> None:
        with Journal(folder / "j", "mark") as journal:
            journal.add({"id": "é"})
        with Journal(folder / "j", "mark") as journal:
            assert journal.rows == [{"id": "é"}]

    def test_a_half_written_line_is_left_out(self, folder: Path) -> None:
        with Journal(folder / "j", "mark") as journal:
            journal.add({"id": 1})
            journal.add({"id": 2})
        content = (folder / "j").read_bytes()
        (folder / "j").write_bytes(content[:-4])
        with Journal(folder / "j", "mark") as journal:
            assert journal.rows == [{"id": 1}]
            journal.add({"id": 3})
        with Journal(folder / "j", "mark") as journal:
            assert journal.rows == [{"id": 1}, {"id": 3}]

    def test_work_of_another_kind_is_not_taken_over(self, folder: Path) -> None:
        with Journal(folder / "j", "mark") as journal:
            journal.add({"id": 1})
        with Journal(folder / "j", "other") as journal:
            assert journal.rows == []

    def test_a_folder_that_cannot_be_written(self, folder: Path) -> None:
        (folder / "file").write_text("")
        with pytest.raises(DataError, match="cannot be written"), Journal(folder / "file" / "j", "mark"):
            pass
