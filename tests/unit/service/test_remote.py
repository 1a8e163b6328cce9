"""Workers and the process that holds the model, over a real socket: rankings, windows, errors, and ends of either."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.errors import EngineError, MissingError
from es_reasonrank.rerank.profile import load_profile
from es_reasonrank.service import wire
from es_reasonrank.service.model_process import served
from es_reasonrank.service.rankers import Loading
from es_reasonrank.service.remote import RemoteRankers
from es_reasonrank.types import Candidate, Outcome, Ranking, Trace, Window

PROFILE = load_profile("identity")
TWO = (Candidate("a", "text a", "title", 2.5, "note"), Candidate("b"))
WINDOW = Window((0, 1), (1, 0), Outcome.REPAIRED, "mended", "because", "[2] > [1]", (0.1, 0.9), 7, 3, 0.5, 2, True, "x")


class Held:
    """The model's side: answers at once, or when it is let."""

    def __init__(self, error: Exception | None = None) -> None:
        self.profiles = {PROFILE.name: PROFILE}
        self.error = error
        self.asked: list[tuple[str, str, tuple[Candidate, ...], int | None, float | None]] = []
        self.go = asyncio.Event()
        self.go.set()
        self.cancelled = 0

    async def start(self) -> None:
        await self.go.wait()
        if self.error is not None:
            raise self.error

    async def aclose(self) -> None:
        pass

    async def rank(
        self,
        profile: str,
        query: str,
        candidates: Sequence[Candidate],
        *,
        depth: int | None,
        deadline: float | None,
        on_window: Callable[[Window], None] | None = None,
    ) -> Ranking:
        self.asked.append((profile, query, tuple(candidates), depth, deadline))
        if on_window is not None:
            on_window(WINDOW)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        order = tuple(range(len(candidates)))[::-1]
        scores = tuple(1.0 / (place + 1) for place in order)
        return Ranking(query, tuple(candidates), order, scores, Trace("identity", "none", (WINDOW,), 0.25))


@asynccontextmanager
async def linked(held: Held, folder: Path) -> AsyncIterator[RemoteRankers]:
    path = str(folder / "models")
    server = await served(held, path)
    rankers = RemoteRankers(path, [PROFILE])
    try:
        yield rankers
    finally:
        await rankers.aclose()
        server.close()


def ask(rankers: RemoteRankers, query: str = "why", **more: object) -> asyncio.Task[Ranking]:
    options = {"depth": 5, "deadline": 2.0, **more}
    return asyncio.create_task(rankers.rank("identity", query, TWO, **options))  # type: ignore[arg-type]


async def until(condition: Callable[[], object]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it does not come about")


async def test_a_ranking_comes_back_as_it_was(tmp_path: Path) -> None:
    held, windows = Held(), list[Window]()
    async with linked(held, tmp_path) as rankers:
        ranking = await ask(rankers, on_window=windows.append)
    assert held.asked == [("identity", "why", TWO, 5, 2.0)]
    assert ranking == Ranking("why", TWO, (1, 0), (0.5, 1.0), Trace("identity", "none", (WINDOW,), 0.25))
    assert windows == [WINDOW]


async def test_many_at_a_time_and_each_gets_its_own(tmp_path: Path) -> None:
    async with linked(Held(), tmp_path) as rankers:
        rankings = await asyncio.gather(*(ask(rankers, f"query {number}") for number in range(50)))
    assert [ranking.query for ranking in rankings] == [f"query {number}" for number in range(50)]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Loading("not yet"), Loading),
        (EngineError("gone", engine="x"), EngineError),
        (MissingError("not yet"), EngineError),
        (KeyError("a bug"), EngineError),
    ],
)
async def test_errors_come_over(error: Exception, kind: type[Exception], tmp_path: Path) -> None:
    async with linked(Held(error), tmp_path) as rankers:
        with pytest.raises(kind, match=r"not yet|gone|internal error \(KeyError: 'a bug'\)") as caught:
            await ask(rankers)
        assert type(caught.value) is kind
        rankers_again = ask(rankers)
        with pytest.raises(kind):
            await rankers_again


async def test_a_caller_that_leaves_ends_the_work(tmp_path: Path) -> None:
    held = Held()
    held.go.clear()
    async with linked(held, tmp_path) as rankers:
        task, staying = ask(rankers), ask(rankers, "other")
        await until(lambda: len(held.asked) == 2)
        task.cancel()
        await until(lambda: held.cancelled == 1)
        held.go.set()
        assert (await staying).query == "other"


async def test_a_worker_that_dies_ends_its_work(tmp_path: Path) -> None:
    held = Held()
    held.go.clear()
    async with linked(held, tmp_path) as rankers:
        task = ask(rankers)
        await until(lambda: held.asked)
        await rankers.aclose()
        await until(lambda: held.cancelled == 1)
        with pytest.raises(EngineError, match="has ended"):
            await task


async def test_without_the_process_it_is_being_started(tmp_path: Path) -> None:
    rankers = RemoteRankers(str(tmp_path / "models"), [PROFILE])
    with pytest.raises(Loading, match="being started"):
        await ask(rankers)
    starting = asyncio.create_task(rankers.start())
    await asyncio.sleep(0.05)
    assert not starting.done()
    held = Held()
    server = await served(held, str(tmp_path / "models"))
    await asyncio.wait_for(starting, 5)
    assert (await ask(rankers)).order == (1, 0)
    await rankers.aclose()
    server.close()


async def test_the_next_process_is_found(tmp_path: Path) -> None:
    path = str(tmp_path / "models")
    first, second = Held(), Held()
    first.go.clear()
    reader_ends: list[asyncio.StreamWriter] = []

    async def dying(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader_ends.append(writer)
        await reader.read(1)
        writer.transport.abort()

    server = await asyncio.start_unix_server(dying, path)
    rankers = RemoteRankers(path, [PROFILE])
    with pytest.raises(EngineError, match="has ended"):
        await ask(rankers)
    server.close()
    again = await served(second, path)
    assert (await ask(rankers)).order == (1, 0)
    await rankers.aclose()
    again.close()


async def test_a_load_that_fails_is_an_error(tmp_path: Path) -> None:
    async with linked(Held(MissingError("no package")), tmp_path) as rankers:
        with pytest.raises(EngineError, match="no package"):
            await rankers.start()


async def test_one_asker_s_fault_is_not_the_others(tmp_path: Path) -> None:
    def failing(window: Window) -> None:
        raise RuntimeError("nobody listens any more")

    async with linked(Held(), tmp_path) as rankers:
        bad, good = ask(rankers, on_window=failing), ask(rankers, "good")
        with pytest.raises(RuntimeError, match="nobody listens"):
            await bad
        assert (await good).query == "good"


@given(st.lists(st.text(st.characters(), max_size=20), max_size=5), st.text(st.characters()))
def test_texts_come_over(texts: list[str], query: str) -> None:
    """All but halves of surrogate pairs, which no UTF-8 can hold; there are as many candidates at any rate."""
    candidates = [Candidate(str(place), text) for place, text in enumerate(texts)]
    sent = wire.Rank(1, "p", query, candidates, None, None, False)
    got = wire._questions.decode(wire.packed(sent)[4:])
    assert isinstance(got, wire.Rank)
    assert [candidate.text for candidate in got.candidates] == [_encodable(text) for text in texts]
    assert got.query == _encodable(query)


def _encodable(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
