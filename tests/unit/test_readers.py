"""Every row of a file becomes a passage or is rejected with its reason and its text; none is lost."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from es_reasonrank.elastic.readers import Fields, Passage, Place, Rejected, Source, open_source
from es_reasonrank.errors import DataError

ONE_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def source(path: Path, content: str | bytes, **fields: str) -> Source:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_source(path, Fields(**fields))


def one(folder: Path, row: dict[str, Any], **fields: str) -> Passage | Rejected:
    (result,) = source(folder / "docs.jsonl", json.dumps(row), **fields).passages()
    return result


def accepted(result: Passage | Rejected) -> Passage:
    assert isinstance(result, Passage), result
    return result


def reason(result: Passage | Rejected) -> str:
    assert isinstance(result, Rejected), result
    return result.reason


class TestFields:
    @pytest.mark.parametrize("name", ["_id", "id", "docid", "doc_id"])
    def test_id_is_found_under_its_usual_names(self, tmp_path: Path, name: str) -> None:
        assert accepted(one(tmp_path, {name: "d1", "text": "t"})).id == "d1"

    @pytest.mark.parametrize("name", ["body", "text", "contents", "content", "passage", "segment"])
    def test_body_is_found_under_its_usual_names(self, tmp_path: Path, name: str) -> None:
        assert accepted(one(tmp_path, {"_id": "d1", name: "t"})).source == {"body": "t"}

    def test_every_field_of_the_mapping_is_filled_and_the_rest_is_metadata(self, tmp_path: Path) -> None:
        row = {
            "_id": 7, "title": "T", "text": "B", "url": "http://x", "lang": "en", "date": "2020-01-02",
            "modified": 1600000000000, "tags": ["a", "b"], "views": 3, "nothing": None, "empty": "",
        }  # fmt: skip
        passage = accepted(one(tmp_path, row))
        assert passage.id == "7"
        assert passage.source == {
            "title": "T", "body": "B", "url": "http://x", "language": "en", "published": "2020-01-02",
            "updated": 1600000000000, "metadata": {"tags": ["a", "b"], "views": 3},
        }  # fmt: skip

    def test_of_several_names_the_first_with_a_value_counts_and_no_other_is_lost(self, tmp_path: Path) -> None:
        passage = accepted(one(tmp_path, {"_id": "a", "id": "b", "body": "", "text": "x", "content": "y"}))
        assert passage.id == "a"
        assert passage.source == {"body": "x", "metadata": {"id": "b", "content": "y"}}

    def test_own_metadata_stands_beside_the_other_fields(self, tmp_path: Path) -> None:
        passage = accepted(one(tmp_path, {"_id": "a", "text": "x", "k": 1, "metadata": {"url": "u", "m": 2}}))
        assert passage.source == {"body": "x", "url": "u", "metadata": {"m": 2, "k": 1}}

    @pytest.mark.parametrize("own", [{"k": 2}, "text", [1]])
    def test_own_metadata_hides_nothing(self, tmp_path: Path, own: Any) -> None:
        passage = accepted(one(tmp_path, {"_id": "a", "text": "x", "k": 1, "metadata": own}))
        assert passage.source["metadata"] == {"k": 1, "metadata": own}

    def test_named_fields_are_used(self, tmp_path: Path) -> None:
        row = {"_id": "a", "pmid": "p", "headline": "H", "abstract": ["one", "two"], "text": "other"}
        passage = accepted(one(tmp_path, row, id="pmid", title="headline", body="abstract"))
        assert passage.id == "p"
        assert passage.source == {"title": "H", "body": "one\ntwo", "metadata": {"_id": "a", "text": "other"}}

    def test_a_title_alone_is_enough(self, tmp_path: Path) -> None:
        assert accepted(one(tmp_path, {"_id": "a", "title": "T", "text": " "})).source["title"] == "T"


class TestIds:
    def test_without_an_id_the_content_gives_it(self, tmp_path: Path) -> None:
        first = accepted(one(tmp_path, {"text": "x", "n": 1}))
        again = accepted(one(tmp_path, {"n": 1, "text": "x"}))
        other = accepted(one(tmp_path, {"text": "x", "n": 2}))
        assert first.id == again.id != other.id

    def test_an_id_may_have_512_bytes(self, tmp_path: Path) -> None:
        assert accepted(one(tmp_path, {"_id": "é" * 256, "text": "x"}))
        assert "513 bytes" in reason(one(tmp_path, {"_id": "é" * 256 + "a", "text": "x"}))

    def test_a_named_id_must_be_there(self, tmp_path: Path) -> None:
        assert (
            reason(one(tmp_path, {"_id": "a", "text": "x"}, id="pmid")) == "has no value in 'pmid' to take its id from"
        )

    def test_an_id_is_text_or_a_number(self, tmp_path: Path) -> None:
        assert "neither text nor a number" in reason(one(tmp_path, {"_id": {"$oid": "1"}, "text": "x"}))


class TestJsonLines:
    def test_bom_line_ends_and_blank_lines(self, tmp_path: Path) -> None:
        content = b'\xef\xbb\xbf{"_id":"a","text":"x"}\r\n\r\n  \n{"_id":"b","text":"y"}'
        docs = source(tmp_path / "docs.jsonl", content)
        assert [(row.place.line, row.id) for row in docs.passages()] == [(1, "a"), (4, "b")]
        assert docs.count() == 2

    @pytest.mark.parametrize(
        ("line", "why"),
        [
            (b"{", "is not valid JSON"),
            (b'["a"]', "must be a JSON object, not list"),
            (b'{"_id":"a","text":"\xff\xe9"}', "is not UTF-8 text"),
            (b'{"_id":"a"}', "has neither a title nor a text"),
            (b'{"_id":"a","text":{"en":"x"}}', "has a title or text that is no text"),
            (b"[" * 100_000, "is nested too deeply"),
        ],
    )
    def test_a_bad_row_is_rejected_with_its_text_and_the_work_goes_on(
        self, tmp_path: Path, line: bytes, why: str
    ) -> None:
        first, last = source(tmp_path / "docs.jsonl", line + b'\n{"_id":"b","text":"y"}\n').passages()
        assert reason(first).startswith(why)
        assert first.place == Place("docs.jsonl", 1)
        assert first.original.encode(errors="surrogateescape") == line
        assert accepted(last).id == "b"

    def test_missing_numbers_are_no_values(self, tmp_path: Path) -> None:
        (row,) = source(tmp_path / "docs.jsonl", '{"_id":"a","text":"x","n":NaN,"m":{"k":-Infinity}}').passages()
        assert accepted(row).source == {"body": "x", "metadata": {"m": {"k": None}}}

    def test_half_an_emoji_becomes_a_replacement_character(self, tmp_path: Path) -> None:
        (row,) = source(tmp_path / "docs.jsonl", r'{"_id":"a","text":"\ud83d\ude00 \uD83D!"}').passages()
        assert accepted(row).source == {"body": "\N{GRINNING FACE} \N{REPLACEMENT CHARACTER}!"}

    @ONE_FILE
    @given(lines=st.lists(st.binary(max_size=40).filter(lambda line: not {10, 13} & set(line)), max_size=8))
    def test_no_line_is_lost(self, tmp_path: Path, lines: list[bytes]) -> None:
        rows = list(source(tmp_path / "docs.jsonl", b"\n".join([b"{}", *lines])).passages())
        expected = [b"{}", *(line for line in lines if line and not line.isspace())]
        assert [row.original.encode(errors="surrogateescape") for row in rows] == expected


class TestCsv:
    def test_quotes_commas_and_line_breaks(self, tmp_path: Path) -> None:
        content = '\ufeffid, title ,text\r\n1,"a ""b"", c","x\r\ny"\r\n\r\n2,,"z"\r\n'
        rows = [accepted(row) for row in source(tmp_path / "docs.csv", content).passages()]
        assert [(row.place.line, row.id, row.source) for row in rows] == [
            (2, "1", {"title": 'a "b", c', "body": "x\r\ny"}),
            (5, "2", {"body": "z"}),
        ]
        assert rows[0].original == '1,"a ""b"", c","x\r\ny"'

    def test_long_cells(self, tmp_path: Path) -> None:
        (row,) = source(tmp_path / "docs.csv", f"id,text\n1,{'x' * 2_000_000}\n").passages()
        assert len(accepted(row).source["body"]) == 2_000_000

    @pytest.mark.parametrize(
        ("line", "why"),
        [
            (b"1,a,b", "has 3 cells, and the header has 2"),
            (b"1", "has 1 cells, and the header has 2"),
            (b'1,"a"b', "is not valid CSV"),
            (b"1,\xff", "is not UTF-8 text"),
            (b"1,", "has neither a title nor a text"),
        ],
    )
    def test_a_bad_row_is_rejected_and_the_work_goes_on(self, tmp_path: Path, line: bytes, why: str) -> None:
        first, last = source(tmp_path / "docs.csv", b"id,text\n" + line + b"\n2,y\n").passages()
        assert reason(first).startswith(why)
        assert first.original.encode(errors="surrogateescape") == line
        assert accepted(last).id == "2"

    def test_a_quote_that_never_closes_rejects_the_rest_and_keeps_it(self, tmp_path: Path) -> None:
        first, rest = source(tmp_path / "docs.csv", 'id,text\n1,x\n2,"y\n3,z\n').passages()
        assert accepted(first).id == "1"
        assert reason(rest).startswith("is not valid CSV")
        assert (rest.place.line, rest.original) == (3, '2,"y\n3,z')

    @pytest.mark.parametrize(
        ("header", "fields", "why"),
        [
            ("id;title;text", {}, "has no column for text"),
            ("id,answer", {}, "name the one that holds it with --body-field"),
            ("id,text", {"body": "answer"}, "has no column 'answer'; its columns are id, text"),
            ("id,text,id", {}, "names column 'id' twice"),
            ("", {}, "has no column for text"),
            (b"id,t\xe9xt", {}, "not UTF-8"),
            ('"id', {}, "header is not valid CSV"),
        ],
    )
    def test_a_header_that_cannot_be_used_is_an_error_before_anything_is_loaded(
        self, tmp_path: Path, header: str | bytes, fields: dict[str, str], why: str
    ) -> None:
        with pytest.raises(DataError, match=why):
            source(tmp_path / "docs.csv", header, **fields)

    def test_a_column_without_a_name_gets_one(self, tmp_path: Path) -> None:
        (row,) = source(tmp_path / "docs.csv", ",id,text\n0,1,x\n").passages()
        assert accepted(row).source["metadata"] == {"column_1": "0"}

    @ONE_FILE
    @given(content=st.text(alphabet=st.sampled_from('ab",\r\n é\udcff\x00'), max_size=60))
    def test_no_text_is_lost(self, tmp_path: Path, content: str) -> None:
        raw = content.encode(errors="surrogateescape")
        rows = source(tmp_path / "docs.csv", b"id,text\n" + raw).passages()
        read = "".join(row.original for row in rows).encode(errors="surrogateescape")
        assert read.translate(None, b"\r\n") == raw.translate(None, b"\r\n")

    @ONE_FILE
    @given(text=st.text(min_size=1).filter(str.strip))
    def test_what_the_csv_module_writes_is_read_back(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "docs.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["id", "text"], ["1", text]])
        (row,) = open_source(path).passages()
        assert accepted(row).source["body"] == text


class TestSources:
    def test_a_folder_is_read_in_the_order_of_its_files(self, tmp_path: Path) -> None:
        (tmp_path / "b.jsonl").write_text('{"_id":"2","text":"x"}')
        (tmp_path / "a.csv").write_text("id,text\n1,x\n")
        (tmp_path / "c.NDJSON").write_text('{"_id":"3","text":"x"}')
        (tmp_path / "notes.txt").write_text("not read")
        docs = open_source(tmp_path)
        assert [(row.place.file, row.id) for row in docs.passages()] == [
            ("a.csv", "1"), ("b.jsonl", "2"), ("c.NDJSON", "3"),
        ]  # fmt: skip
        assert docs.count() == 3

    def test_of_a_beir_folder_only_the_corpus_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "corpus.jsonl").write_text('{"_id":"d","title":"T","text":"x","metadata":{}}')
        (tmp_path / "queries.jsonl").write_text('{"_id":"q","text":"x"}')
        (row,) = open_source(tmp_path).passages()
        assert accepted(row)[1:3] == ("d", {"title": "T", "body": "x"})

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("none.jsonl", "there is no such file or folder"),
            ("docs.parquet", "is of no known format; give a .jsonl, .ndjson or .csv file"),
            ("empty", "holds no .jsonl, .ndjson or .csv file"),
        ],
    )
    def test_nothing_to_read_is_one_sentence(self, tmp_path: Path, name: str, why: str) -> None:
        (tmp_path / "docs.parquet").touch()
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match=why):
            open_source(tmp_path / name)

    def test_reading_goes_on_behind_any_place(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text('id,text\n1,"x\ny"\n2,z,\n3,w\n')
        (tmp_path / "b.jsonl").write_text('{"_id":"4","text":"x"}\n\n{\n{"_id":"5","text":"x"}\n')
        docs = open_source(tmp_path)
        rows = list(docs.passages())
        assert len(rows) == 6
        for number, row in enumerate(rows, start=1):
            assert list(docs.passages(after=row.place)) == rows[number:]

    def test_state_changes_with_the_files_and_with_how_they_are_read(self, tmp_path: Path) -> None:
        docs = source(tmp_path / "docs.jsonl", '{"id":"1","text":"x"}')
        before = docs.state()
        assert open_source(docs.path).state() == before
        assert open_source(docs.path, Fields(body="text")).state() != before
        docs.path.write_text('{"id":"1","text":"longer"}')
        assert docs.state() != before

    def test_a_corpus_in_beirs_layout(self) -> None:
        corpus = Path(__file__).parents[2] / "../shared/data/nfcorpus"
        if not corpus.is_dir():
            pytest.skip("the nfcorpus data set is not here (../shared/data/nfcorpus)")
        docs = open_source(corpus)
        rows = [accepted(row) for row in docs.passages()]
        assert len(rows) == docs.count() == len({row.id for row in rows}) == 3633
        assert all(row.source["body"] and row.source["url"].startswith("http") for row in rows)
