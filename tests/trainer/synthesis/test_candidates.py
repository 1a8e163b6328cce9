"""Lists: positives, hard negatives and others, at most 20, the same again for the same seed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.errors import SettingsError
from es_reasonrank.evaluation.runs import Text
from es_reasonrank.validation import checked
from trainer.lists import TrainingList
from trainer.synthesis.candidates import CandidateOptions, Pool, Selected, composed
from trainer.synthesis.material import Query

CORPUS = {f"d{number}": Text("", f"Document number {number}.") for number in range(60)}
POOL = Pool(bm25=tuple(f"d{n}" for n in range(30)), embedding=tuple(f"d{n}" for n in range(20, 50)))
OPTIONS = CandidateOptions()


def made(query: Query, pool: Pool = POOL, options: CandidateOptions = OPTIONS, **more: object) -> TrainingList:
    one = composed("toy", query, pool, CORPUS, options, "seed", **more)  # type: ignore[arg-type]
    assert isinstance(one, TrainingList), one
    return one


def origins(one: TrainingList) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for passage in one.passages:
        found.setdefault(passage.origin, set()).add(passage.id)
    return found


def test_what_both_searches_put_high_is_hardest() -> None:
    """By reciprocal rank fusion: d1 has 1/62 + 1/61, d0 only 1/61, d2 1/63 + 1/62."""
    pool = Pool(bm25=("d0", "d1", "d2"), embedding=("d1", "d2"))
    assert pool.fused == ["d1", "d2", "d0"]
    assert pool.base == ["d0", "d1", "d2"]
    assert [pool.rank(name) for name in ("d2", "d0", "d9")] == [2, 1, None]


def test_a_list_has_positives_hard_negatives_and_others() -> None:
    one = made(Query("q", "text", {"d5": 1, "d45": 2}))
    found = origins(one)
    assert len(one.passages) == 20
    assert found["qrels"] == {"d5", "d45"}
    assert found["hard"] == set([name for name in POOL.fused if name not in ("d5", "d45")][:9])
    assert len(found["sampled"]) == 9
    assert one.relevant == {"d45": 2, "d5": 1}


def test_a_list_is_shown_in_bm25s_order_and_what_was_not_found_at_any_place() -> None:
    places = set()
    for number in range(20):
        one = composed("toy", Query("q", "text", {"d55": 1}), POOL, CORPUS, OPTIONS, str(number))
        assert isinstance(one, TrainingList)
        names = [passage.id for passage in one.passages]
        places.add(names.index("d55"))
        names.remove("d55")
        assert names == sorted(names, key=POOL.base.index)
    assert len(places) > 5


def test_of_equal_positives_those_that_were_found_come_first() -> None:
    one = made(Query("q", "text", {"d55": 1, "d56": 1, "d3": 1, "d57": 2}), options=CandidateOptions(positives=2))
    assert one.relevant == {"d57": 2, "d3": 1}


def test_a_list_may_be_shown_shuffled() -> None:
    query = Query("q", "text", {"d5": 1})
    shuffled = made(query, options=CandidateOptions(order="shuffled"))
    assert [passage.id for passage in shuffled.passages] != [passage.id for passage in made(query).passages]
    assert shuffled.passages == made(query, options=CandidateOptions(order="shuffled")).passages


def test_positives_that_found_no_place_are_no_negatives() -> None:
    grades = {f"d{number}": 2 if number < 2 else 1 for number in range(10)}
    one = made(Query("q", "text", grades), options=CandidateOptions(positives=4))
    assert len(one.relevant) == 4
    assert {"d0", "d1"} <= one.relevant.keys()
    assert {passage.id for passage in one.passages} & grades.keys() == one.relevant.keys()


def test_what_is_judged_irrelevant_or_misleading_comes_first_among_the_hard() -> None:
    query = Query("q", "text", {"d5": 1, "d49": 0})
    one = made(query, options=CandidateOptions(size=5), selected=Selected(("d6",), ("d48",)))
    assert origins(one)["hard"] == {"d48", "d49"}
    assert origins(one)["selected"] == {"d6"}
    assert one.relevant == {"d5": 1, "d6": 1}


def test_no_text_stands_in_a_list_twice_and_nothing_excluded() -> None:
    corpus = {**CORPUS, "copy": CORPUS["d5"], "bare": Text("", " ")}
    pool = Pool(bm25=("copy", "bare", "d5", "own", "d1"))
    query = Query("q", "text", {"d5": 1}, excluded=frozenset({"d1"}))
    one = composed("toy", query, pool, corpus, CandidateOptions(size=3), "seed")
    assert isinstance(one, TrainingList)
    names = {passage.id for passage in one.passages}
    assert not names & {"copy", "bare", "own", "d1"}
    assert len(names) == 3


def test_the_rest_comes_from_the_corpus() -> None:
    one = made(Query("q", "text", {"d5": 1}), pool=Pool(bm25=("d5", "d6")))
    assert len(origins(one)["corpus"]) == 18


@pytest.mark.parametrize(
    ("query", "corpus", "reason"),
    [
        (Query("q", "text"), CORPUS, "no positive"),
        (Query("q", "text", {"lost": 1}), CORPUS, "no positive"),
        (Query("q", "text", {"d1": 1}), {"d1": CORPUS["d1"]}, "no negative"),
        (Query("q", "text", pool=("d1",), order=("d1",)), CORPUS, "fewer than 2 passages"),
        (Query("q", "text", pool=("d1", "d2"), order=("d1",)), CORPUS, "its order is no permutation of its passages"),
    ],
)
def test_why_there_is_no_list(query: Query, corpus: dict[str, Text], reason: str) -> None:
    assert composed("toy", query, Pool(), corpus, OPTIONS, "seed") == reason


def test_a_list_whose_order_came_along_stays_as_it_is() -> None:
    one = made(Query("q", "t", {"d2": 1, "d9": 1}, pool=("d1", "d2"), order=("d2", "d1"), reasoning="[2] is it."))
    assert [passage.id for passage in one.passages] == ["d1", "d2"]
    assert (one.order, one.relevant, one.reasoning) == (("d2", "d1"), {"d2": 1}, "[2] is it.")


names = st.lists(st.sampled_from(sorted(CORPUS)), unique=True, max_size=40).map(tuple)


@given(
    bm25=names,
    embedding=names,
    grades=st.dictionaries(st.sampled_from(sorted(CORPUS)), st.integers(0, 3), min_size=1, max_size=30),
    size=st.integers(2, 20),
    positives=st.integers(1, 25),
    seed=st.text(max_size=3),
)
def test_every_list_keeps_the_rules(
    bm25: tuple[str, ...],
    embedding: tuple[str, ...],
    grades: dict[str, int],
    size: int,
    positives: int,
    seed: str,
) -> None:
    query, pool = Query("q", "text", grades), Pool(bm25, embedding)
    options = CandidateOptions(size=size, positives=min(positives, size - 1))
    one = composed("toy", query, pool, CORPUS, options, seed)
    if isinstance(one, str):
        assert one == "no positive"
        assert not query.relevant
        return
    shown = {passage.id for passage in one.passages}
    assert 2 <= len(one.passages) <= size
    assert shown & query.relevant.keys() == one.relevant.keys()
    assert 1 <= len(one.relevant) <= options.positives
    assert one == composed("toy", query, pool, CORPUS, options, seed)


def test_one_of_the_searches_must_be_on() -> None:
    with pytest.raises(SettingsError, match="bm25 and embeddings are both off"):
        checked(CandidateOptions, {"bm25": False, "embeddings": False}, where="candidates")


def test_a_list_always_has_room_for_a_negative() -> None:
    one = made(Query("q", "text", dict.fromkeys(CORPUS, 1) | {"d59": 0}), options=CandidateOptions(size=4))
    assert (len(one.relevant), len(one.passages)) == (3, 4)
