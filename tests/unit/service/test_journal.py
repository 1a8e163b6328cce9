"""The roll-out log as it is written and read."""

from __future__ import annotations

import gzip
import json
import logging
import multiprocessing
import os
import stat
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.errors import DataError
from es_reasonrank.evaluation.rollout_log import Broken, Clicked, Entry, Searched, named, read
from es_reasonrank.service.journal import Journal, new_id, searched
from es_reasonrank.service.rollout import Arm, seed_of, shown
from es_reasonrank.service_settings import Rollout

MIXED = Rollout(mode="interleave", log="rollout.log")
BASE = ("a", "b", "c", "d")


def entry(query: str = "why", *, arm: Arm = Arm.RERANKED, reranked: tuple[int, ...] = (3, 1, 0, 2)) -> Searched:
    seed = seed_of(MIXED, user="ann", search=query)
    return searched(
        MIXED,
        id=new_id(),
        user="ann",
        search=query,
        query=query,
        index="docs",
        profile="encoder",
        arm=arm,
        base=BASE,
        shown=shown(arm, range(4), reranked, seed=seed) if reranked else None,
        reranked=reranked,
        offset=0,
        size=10,
        status="ok",
        took=0.0123,
    )


def click(search: str, document: str) -> Clicked:
    return Clicked(time=datetime.now(UTC), id=new_id(), search=search, document=document)


def entries(path: Path) -> list[Entry]:
    broken = Broken()
    found = list(read([path], broken))
    assert broken.count == 0, broken.first
    return found


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "rollout.log"
    one, two = entry(), click("x", "a")
    with Journal(path) as journal:
        journal.write(one)
        journal.write(two)
    assert entries(path) == [one, two]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_line_tells_all_and_names_no_user(tmp_path: Path) -> None:
    path = tmp_path / "rollout.log"
    with Journal(path) as journal:
        journal.write(entry())
    row = json.loads(path.read_text())
    assert row["base"] == ["a", "b", "c", "d"]
    assert row["reranked"] == ["d", "b", "a", "c"]
    assert (row["arm"], row["status"], row["took"], row["query"]) == ("reranked", "ok", 12.3, "why")
    assert "ann" not in path.read_text()


@given(st.permutations(range(4)), st.sampled_from(Arm), st.text(max_size=5))
def test_the_shown_order_follows_from_the_line(reranked: list[int], arm: Arm, query: str) -> None:
    line = entry(query, arm=arm, reranked=tuple(reranked))
    seen = shown(arm, range(4), reranked, seed=seed_of(MIXED, user="ann", search=query))
    assert line.shown == tuple(BASE[place] for place in seen.order)


def test_a_search_whose_model_was_not_asked() -> None:
    line = entry(arm=Arm.BASE, reranked=())
    assert line.reranked == line.team == ()
    assert line.shown == BASE


def test_without_a_file_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Journal(None) as journal:
        journal.write(entry())
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"roll-out log cannot be written"), Journal(tmp_path):
        pass


def _write(path: Path, name: str, lines: int) -> None:
    with Journal(path) as journal:
        for number in range(lines):
            journal.write(entry(f"{name} {number} " + "x" * 5000))


def test_several_processes_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rollout.log"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write, args=(path, str(number), 100)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    found = [line.query for line in entries(path) if isinstance(line, Searched)]
    for name in "012":
        own = [query for query in found if query.startswith(f"{name} ")]
        assert [query.split()[1] for query in own] == [str(number) for number in range(100)]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_line_is_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "rollout.log"
    with Journal(path) as journal:
        journal.write(entry())
        until(lambda: path.stat().st_size > 0)
        assert len(entries(path)) == 1


def test_a_file_that_is_moved_away_goes_on_under_the_old_name(tmp_path: Path) -> None:
    path, moved = tmp_path / "rollout.log", tmp_path / "rollout.log.1"
    with Journal(path) as journal:
        journal.write(entry("before"))
        until(lambda: path.stat().st_size > 0)
        path.rename(moved)
        journal.write(entry("after"))
    assert [line.query for line in entries(moved) if isinstance(line, Searched)] == ["before"]
    assert [line.query for line in entries(path) if isinstance(line, Searched)] == ["after"]


def test_a_full_disk_costs_lines_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), Journal(Path("/dev/full")) as journal:
        for _ in range(5):
            journal.write(entry())
    assert journal.dropped == 5
    assert [record.args[1] for record in caplog.records if isinstance(record.args, tuple)] == [1, 2, 4]
    assert "No space left on device" in caplog.text


def test_a_disk_that_is_too_slow_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("es_reasonrank.service.journal._WAITING", 2)
    path = tmp_path / "rollout.log"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    big = entry("x" * 70_000)  # a line more than a pipe holds: its writer waits for the reader
    with Journal(path) as journal:
        started = time.monotonic()
        for _ in range(20):
            journal.write(big)
        assert time.monotonic() - started < 1
        assert journal.dropped >= 17
        os.close(reader)


def test_broken_lines_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "rollout.log"
    whole = entry().model_dump_json()
    odd = json.dumps(json.loads(whole) | {"reranked": ["a", "b"]})
    teams = json.dumps(json.loads(whole) | {"team": ["base"]})
    path.write_bytes(f"{whole}\n\n{whole[:40]}\n{odd}\n{teams}\n[1]\n".encode() + b"\xff\xfe\n" + whole.encode())
    broken = Broken()
    assert len(list(read([path], broken))) == 2
    assert broken.count == 5
    assert broken.first.startswith(f"{path}, line 3: ")


def test_what_a_newer_service_adds_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "rollout.log"
    line = entry()
    path.write_text(json.dumps(json.loads(line.model_dump_json()) | {"later": 1}))
    assert entries(path) == [line]


def test_packed_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rollout.log.2.gz"
    line = entry()
    path.write_bytes(gzip.compress(line.model_dump_json().encode()))
    assert entries(path) == [line]


@pytest.mark.parametrize("content", [None, b"not packed"])
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "rollout.log.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        entries(path)


def test_documents_of_two_indices_with_one_id() -> None:
    assert named([("one", "1"), ("two", "1"), ("two", "2")]) == ("one/1", "two/1", "2")
