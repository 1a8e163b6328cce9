"""What roll-out logs tell: orders, clicks, tests and sentences."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.cli import root
from es_reasonrank.evaluation.agreement import mean_move, overlap, rank_biased_overlap
from es_reasonrank.evaluation.compare import Comparison, compare
from es_reasonrank.evaluation.preference import decided_needed, difference, duel, users_needed
from es_reasonrank.evaluation.rollout_log import Clicked, Entry, Searched
from es_reasonrank.evaluation.verdict import verdict
from es_reasonrank.service.interleaving import team_draft

NOW = datetime(2026, 11, 21, tzinfo=UTC)
DOCUMENTS = tuple("abcdefghijklmnop")
BACKWARDS = DOCUMENTS[::-1]
ORDERS = st.permutations(DOCUMENTS)


class TestAgreement:
    def test_the_same_order(self) -> None:
        assert overlap(DOCUMENTS, DOCUMENTS, 10) == 1.0
        assert rank_biased_overlap(DOCUMENTS, DOCUMENTS) == pytest.approx(1.0)
        assert mean_move(DOCUMENTS, DOCUMENTS) == 0.0

    def test_worked_by_hand(self) -> None:
        """Agreement at depth 1, 2 and 3 is 0, 1 and 1: 0.1 * (0 + 0.9 + 0.81) + 0.729."""
        assert rank_biased_overlap("abc", "bac") == pytest.approx(0.1 * (0.9 + 0.81) + 0.729)
        assert mean_move("abc", "bac") == pytest.approx(2 / 3)
        assert overlap("abcd", "cdab", 2) == 0.0
        assert overlap("abcd", "cdab", 3) == pytest.approx(2 / 3)

    @given(ORDERS, ORDERS)
    def test_overlap_by_its_definition(self, one: list[str], other: list[str]) -> None:
        depths = range(1, len(one) + 1)
        agreed = [0.9 ** (depth - 1) * len({*one[:depth]} & {*other[:depth]}) / depth for depth in depths]
        found = rank_biased_overlap(one, other)
        assert found == pytest.approx(0.1 * sum(agreed) + 0.9 ** len(one))
        assert found == pytest.approx(rank_biased_overlap(other, one))
        assert 0 < found <= 1 + 1e-9

    def test_a_swap_at_the_top_weighs_more(self) -> None:
        top, bottom = ("b", "a", *DOCUMENTS[2:]), (*DOCUMENTS[:-2], "p", "o")
        assert rank_biased_overlap(DOCUMENTS, top) < rank_biased_overlap(DOCUMENTS, bottom)

    def test_nothing_at_all(self) -> None:
        assert (overlap((), (), 10), rank_biased_overlap((), ()), mean_move((), ())) == (1.0, 1.0, 0.0)


class TestDuel:
    def test_the_numbers_of_a_sign_test(self) -> None:
        """15 of 20: p = 2 * P(X >= 15) = 2 * 21700 / 2^20; the interval is that of Clopper and Pearson's tables."""
        found = duel(15, 5, 3, clicks_won=30, clicks_lost=20)
        assert found.p == pytest.approx(2 * 21700 / 2**20)
        assert (found.low, found.high) == (pytest.approx(0.509, abs=5e-4), pytest.approx(0.913, abs=5e-4))
        assert found.share == 0.75

    def test_nothing_decided(self) -> None:
        found = duel(0, 0, 4, clicks_won=4, clicks_lost=4)
        assert found.share is found.p is found.low is None
        assert found.more == decided_needed()

    def test_how_many_are_needed(self) -> None:
        """((1.960 * 0.5 + 0.842 * 0.4975) / 0.05)^2."""
        assert decided_needed() == 783
        assert duel(400, 400, 0, clicks_won=0, clicks_lost=0).more == 0

    def test_without_a_preference_it_is_rarely_found(self) -> None:
        dice = random.Random(3)
        found = [
            duel(won := sum(dice.random() < 0.5 for _ in range(100)), 100 - won, 0, clicks_won=0, clicks_lost=0)
            for _ in range(400)
        ]
        assert sum(one.p is not None and one.p < 0.05 for one in found) <= 0.05 * 400
        assert (
            sum(one.low is not None and one.high is not None and one.low <= 0.5 <= one.high for one in found)
            >= 0.95 * 400
        )


class TestDifference:
    def test_an_arm_without_users(self) -> None:
        assert difference([], [0.5]) is None

    def test_too_few_users_for_a_test(self) -> None:
        found = difference([0.1] * 29, [0.9] * 500)
        assert found is not None
        assert found.p is found.low is None
        assert found.difference == pytest.approx(0.8)

    def test_nobody_differs(self) -> None:
        found = difference([0.0] * 50, [0.0] * 50)
        assert found is not None
        assert found.p is None

    def test_a_difference_that_is_there_is_found(self) -> None:
        dice = random.Random(5)
        base = [dice.betavariate(2, 4) for _ in range(400)]
        found = difference(base, [min(1.0, value + 0.1) for value in base])
        assert found is not None
        assert found.p is not None
        assert found.low is not None
        assert found.high is not None
        assert found.p < 1e-6
        assert found.low < 0.1 < found.high

    def test_without_a_difference_it_is_rarely_found(self) -> None:
        dice = random.Random(11)
        found = 0
        for _ in range(300):
            one = difference([dice.random() ** 3 for _ in range(60)], [dice.random() ** 3 for _ in range(40)])
            found += one is not None and one.p is not None and one.p < 0.05
        assert found <= 0.08 * 300

    def test_how_many_users_are_needed(self) -> None:
        """2 * 0.04 * (2.802 / 0.03)^2 with a mean of 0.3 and a variance of 0.04."""
        assert users_needed(0.3, 0.04) == 698
        assert users_needed(0.0, 0.04) is None


def page(
    id: str,
    arm: str,
    *,
    user: str = "ann",
    query: str = "why",
    reranked: tuple[str, ...] = (),
    offset: int = 0,
    status: str = "ok",
    reason: str = "",
    took: float = 20.0,
) -> Searched:
    numbers = {name: place for place, name in enumerate(DOCUMENTS)}
    team = (
        team_draft(range(16), [numbers[name] for name in reranked], seed=user + query)[1]
        if arm == "interleaved"
        else ()
    )
    asked = {"status": status, "reason": reason, "took": took} if reranked else {}
    return Searched.model_validate(
        {"time": NOW, "id": id, "user": user, "query": query, "index": "docs", "profile": "p", "arm": arm}
        | {"base": DOCUMENTS, "reranked": reranked, "team": team, "offset": offset, **asked}
    )


def click(search: str, document: str, *, id: str = "", position: int | None = None, event: str = "click") -> Clicked:
    return Clicked.model_validate(
        {"time": NOW, "id": id or f"{search}/{document}", "search": search, "document": document}
        | {"position": position, "event": event}
    )


def compared(folder: Path, entries: Iterable[Entry]) -> Comparison:
    path = folder / "rollout.log"
    path.write_text("".join(entry.model_dump_json() + "\n" for entry in entries))
    return compare([path])


class TestChanges:
    def test_what_a_shadow_shows(self, tmp_path: Path) -> None:
        swapped = ("b", "a", *DOCUMENTS[2:])
        found = compared(
            tmp_path,
            [
                page("1", "shadow", reranked=DOCUMENTS),
                page("2", "shadow", reranked=BACKWARDS),
                page("3", "shadow", reranked=swapped),
                page("4", "shadow", reranked=(*DOCUMENTS[:-2], "p", "o")),
            ],
        ).changes["shadow"]
        assert (found.searches, found.top_order, found.top_items, found.first) == (4, 0.5, 0.25, 0.5)
        assert found.overlap == pytest.approx((1 + 0.4 + 1 + 1) / 4)
        assert found.moved == pytest.approx((0 + 8 + 2 / 16 + 2 / 16) / 4)
        assert found.rbo == pytest.approx(
            sum(rank_biased_overlap(DOCUMENTS, other) for other in (DOCUMENTS, BACKWARDS, swapped)) / 4
            + rank_biased_overlap(DOCUMENTS, (*DOCUMENTS[:-2], "p", "o")) / 4
        )

    def test_further_pages_and_failures_do_not_dilute_it(self, tmp_path: Path) -> None:
        found = compared(
            tmp_path,
            [
                page("1", "reranked", reranked=BACKWARDS, status="partial", reason="deadline"),
                page("2", "reranked", reranked=BACKWARDS, offset=10),
                page("3", "reranked", reranked=DOCUMENTS, status="failed", reason="model_failed", took=1500.0),
            ],
        )
        assert found.changes["reranked"].searches == 1
        assert found.arms["reranked"].statuses == {"partial": 1, "ok": 1, "failed": 1}
        assert found.arms["reranked"].reasons == {"deadline": 1, "model_failed": 1}
        assert found.arms["reranked"].p50 == 20.0
        assert found.arms["reranked"].p99 == 1500.0

    def test_percentiles_by_nearest_rank(self, tmp_path: Path) -> None:
        pages = [page(str(ms), "reranked", reranked=BACKWARDS, took=float(ms)) for ms in range(1, 101)]
        arm = compared(tmp_path, pages).arms["reranked"]
        assert (arm.p50, arm.p95, arm.p99) == (50.0, 95.0, 99.0)

    def test_where_the_model_was_not_asked_there_is_no_time(self, tmp_path: Path) -> None:
        found = compared(tmp_path, [page("1", "base")])
        assert found.arms["base"].p50 is None
        assert found.arms["base"].statuses == {}
        assert found.changes == {}


class TestInterleaving:
    def test_clicks_won_and_lost(self, tmp_path: Path) -> None:
        search = page("1", "interleaved", reranked=BACKWARDS)
        of = {team: [n for n, t in zip(search.shown, search.team, strict=True) if t == team] for team in search.team}
        other = page("2", "interleaved", user="bob", reranked=BACKWARDS)
        of_bob = {team: [n for n, t in zip(other.shown, other.team, strict=True) if t == team] for team in other.team}
        found = compared(
            tmp_path,
            [
                search,
                other,
                page("3", "interleaved", user="eve", reranked=BACKWARDS),
                *(click("1", document) for document in (*of["reranked"][:2], of["base"][0])),
                *(click("2", document) for document in (of_bob["reranked"][0], of_bob["base"][0])),
            ],
        ).interleaving
        assert found is not None
        assert (found.won, found.lost, found.tied) == (1, 0, 1)
        assert (found.clicks_won, found.clicks_lost) == (3, 2)

    def test_a_click_that_comes_twice_counts_once(self, tmp_path: Path) -> None:
        search = page("1", "interleaved", reranked=BACKWARDS)
        one, two = search.shown[:2]
        found = compared(
            tmp_path, [search, click("1", one), click("1", one), click("1", one, id="again"), click("1", two)]
        )
        assert found.interleaving is not None
        assert (found.interleaving.won, found.interleaving.lost, found.interleaving.tied) == (0, 0, 1)

    def test_repeats_and_further_pages_are_one_search(self, tmp_path: Path) -> None:
        pages = [page(str(number), "interleaved", reranked=BACKWARDS, offset=10 * (number % 2)) for number in range(9)]
        best = next(name for name, team in zip(pages[0].shown, pages[0].team, strict=True) if team == "reranked")
        found = compared(tmp_path, [*pages, *(click(one.id, best) for one in pages)]).interleaving
        assert found is not None
        assert (found.won, found.clicks_won) == (1, 1)

    def test_where_both_orders_are_the_same_a_click_tells_nothing(self, tmp_path: Path) -> None:
        found = compared(tmp_path, [page("1", "interleaved", reranked=DOCUMENTS), click("1", "a")]).interleaving
        assert found is not None
        assert (found.decided, found.clicks_won, found.clicks_lost, found.same) == (0, 0, 0, 1)

    @pytest.mark.parametrize(
        ("taste", "word"), [(1.0, "So far users prefer the reranked order"), (-1.0, "prefer the base order")]
    )
    def test_users_with_a_taste(self, tmp_path: Path, taste: float, word: str) -> None:
        found = compared(tmp_path, browsing(taste, users=300))
        assert found.interleaving is not None
        assert found.interleaving.p is not None
        assert found.interleaving.p < 0.01
        assert any(word in sentence for sentence in verdict(found)), verdict(found)

    def test_users_who_click_by_place_alone(self, tmp_path: Path) -> None:
        found = compared(tmp_path, browsing(0.0, users=300))
        assert found.interleaving is not None
        assert found.interleaving.low is not None
        assert found.interleaving.high is not None
        assert found.interleaving.low < 0.5 < found.interleaving.high
        assert any(sentence.startswith("Not enough searches to tell a preference") for sentence in verdict(found))


def browsing(taste: float, *, users: int) -> list[Entry]:
    """Users who look at the first places most, and like what stands late in the alphabet with that taste."""
    dice = random.Random(17)
    lines: list[Entry] = []
    for number in range(users):
        search = page(str(number), "interleaved", user=f"user {number}", reranked=BACKWARDS)
        lines.append(search)
        for place, name in enumerate(search.shown, start=1):
            liked = 1 + taste * (DOCUMENTS.index(name) / 7.5 - 1)
            if dice.random() < 0.5 * liked / place:
                lines.append(click(search.id, name))
    return lines


class TestPercentage:
    def test_each_user_counts_once(self, tmp_path: Path) -> None:
        """One who searches a hundred times and always clicks weighs as much as one who searches once."""
        busy = [page(f"b{number}", "base", user="busy") for number in range(100)]
        found = compared(
            tmp_path,
            [
                *busy,
                *(click(one.id, "a") for one in busy),
                page("q", "base", user="quiet"),
                page("r", "reranked", user="other", reranked=BACKWARDS),
                click("r", "o"),
            ],
        )
        assert found.click_through is not None
        assert found.reciprocal_rank is not None
        assert found.click_through.base == 0.5
        assert found.click_through.reranked == 1.0
        assert found.reciprocal_rank.base == 0.5
        assert found.reciprocal_rank.reranked == 0.5
        assert found.click_through.p is None

    def test_places_of_further_pages(self, tmp_path: Path) -> None:
        second = Searched.model_validate(
            page("1", "base").model_dump() | {"base": ("q", "r"), "start": 10, "offset": 10}
        )
        found = compared(
            tmp_path,
            [
                second,
                click("1", "r"),
                page("2", "reranked", user="bob", reranked=BACKWARDS),
                click("2", "z", position=20),
            ],
        )
        assert found.reciprocal_rank is not None
        assert found.reciprocal_rank.base == pytest.approx(1 / 12)
        assert found.reciprocal_rank.reranked == pytest.approx(1 / 20)

    def test_a_click_at_an_unknown_place_takes_the_rank_from_both_arms(self, tmp_path: Path) -> None:
        """Else the arm whose clicks have no place would seem to have none."""
        bare = Searched.model_validate(page("1", "base").model_dump() | {"base": ()})
        other = page("2", "reranked", user="bob", reranked=BACKWARDS)
        found = compared(tmp_path, [bare, click("1", "a"), other, click("2", "p")])
        assert found.click_through is not None
        assert found.click_through.base == found.click_through.reranked == 1.0
        assert found.reciprocal_rank is None
        assert found.unplaced == 1
        assert compared(tmp_path, [bare, click("1", "a", position=3), other]).reciprocal_rank is not None

    def test_a_click_behind_all_that_is_known_has_no_reciprocal_rank(self, tmp_path: Path) -> None:
        other = page("2", "reranked", user="bob", reranked=BACKWARDS)
        found = compared(tmp_path, [page("1", "base"), click("1", "z"), other])
        assert found.click_through is not None
        assert found.reciprocal_rank is not None
        assert (found.click_through.base, found.reciprocal_rank.base) == (1.0, 0.0)

    def test_users_of_both_arms_are_left_out(self, tmp_path: Path) -> None:
        found = compared(
            tmp_path,
            [
                page("1", "base", user="ann"),
                page("2", "reranked", user="ann", reranked=BACKWARDS),
                page("3", "base", user="bob"),
                page("4", "reranked", user="eve", reranked=BACKWARDS),
            ],
        )
        assert found.in_both_arms == 1
        assert found.click_through is not None
        assert (found.click_through.base_users, found.click_through.reranked_users) == (1, 1)

    def test_documents_of_two_indices_with_one_id(self, tmp_path: Path) -> None:
        search = Searched.model_validate(page("1", "base").model_dump() | {"base": ("one/x", "two/x")})
        clicked = click("1", "x").model_copy(update={"index": "two"})
        other = page("2", "reranked", user="bob", reranked=BACKWARDS)
        found = compared(tmp_path, [search, clicked, other])
        assert found.reciprocal_rank is not None
        assert found.reciprocal_rank.base == 0.5

    @pytest.mark.parametrize(
        ("rates", "sentence"),
        [
            ((0.3, 0.6), "sers click more with the reranked order"),
            ((0.6, 0.3), "sers click less with the reranked order"),
            ((0.3, 0.3), "Not enough users to tell a difference in clicks"),
            ((0.0, 0.0), "Nothing can be said of clicks"),
        ],
    )
    def test_sentences(self, tmp_path: Path, rates: tuple[float, float], sentence: str) -> None:
        found = compared(tmp_path, visits(rates, users=120))
        assert any(sentence in line for line in verdict(found)), verdict(found)

    def test_too_few_users(self, tmp_path: Path) -> None:
        lines = verdict(compared(tmp_path, visits((0.0, 1.0), users=20)))
        assert lines[-1].startswith("Not enough users to tell a difference in clicks: 10 users of the reranked order")

    def test_many_users_without_a_difference(self, tmp_path: Path) -> None:
        lines = verdict(compared(tmp_path, visits((0.9, 0.9), users=1500)))
        assert lines[-1].startswith("No difference in clicks is seen: click-through is ")


def visits(rates: tuple[float, float], *, users: int) -> list[Entry]:
    """Users of two arms, four pages each, who click with these probabilities."""
    dice = random.Random(23)
    lines: list[Entry] = []
    for number in range(users):
        for visit in range(4):
            reranked = BACKWARDS if number % 2 else ()
            arm = "reranked" if number % 2 else "base"
            search = page(f"{number}-{visit}", arm, user=f"user {number}", reranked=reranked)
            lines.append(search)
            if dice.random() < rates[number % 2]:
                lines.append(click(search.id, search.shown[0]))
    return lines


class TestVerdict:
    def test_no_search(self, tmp_path: Path) -> None:
        assert verdict(compared(tmp_path, [])) == ["There is no search in these files."]

    def test_a_shadow_shows_changes_and_no_preference(self, tmp_path: Path) -> None:
        lines = [page("1", "shadow", reranked=BACKWARDS), page("2", "shadow", reranked=DOCUMENTS), click("1", "a")]
        sentences = verdict(compared(tmp_path, lines))
        assert sentences[0] == "Reranking changes the top 10 of 1 of 2 searches (50%)."
        assert sentences[1].startswith("Whether users like the change cannot be told from this")

    def test_failures_are_told(self, tmp_path: Path) -> None:
        lines = [page("1", "reranked", reranked=DOCUMENTS, status="failed"), page("2", "reranked", reranked=BACKWARDS)]
        assert "Reranking failed for 1 of 2 searches (50.0%)" in " ".join(verdict(compared(tmp_path, lines)))

    def test_interleaving_without_clicks(self, tmp_path: Path) -> None:
        sentences = verdict(compared(tmp_path, [page("1", "interleaved", reranked=BACKWARDS)]))
        assert sentences[1].startswith("Nothing can be said of a preference: no search has more clicks on one side")
        assert "about 783 more" in sentences[1]

    @pytest.mark.parametrize(
        ("won", "lost", "sentence"),
        [
            (400, 400, "No preference is seen: the reranked order won 400 of 800 decided searches (50%"),
            (500, 300, "Users prefer the reranked order: the reranked order won 500 of 800 decided searches (62%"),
            (300, 500, "Users prefer the base order: the reranked order won 300 of 800 decided searches (38%"),
        ],
    )
    def test_enough_searches(self, tmp_path: Path, won: int, lost: int, sentence: str) -> None:
        one = compared(tmp_path, [page("1", "interleaved", reranked=BACKWARDS)])
        found = replace(one, interleaving=duel(won, lost, 0, clicks_won=won, clicks_lost=lost))
        assert verdict(found)[-1].startswith(sentence)


class TestCommand:
    @staticmethod
    def typed(*arguments: str) -> Result:
        return CliRunner().invoke(root, ["compare", *arguments], standalone_mode=False)

    def test_everything_at_once(self, tmp_path: Path) -> None:
        path = tmp_path / "rollout.log"
        lines = [*visits((0.3, 0.4), users=80), *browsing(0.5, users=40), page("s", "shadow", reranked=BACKWARDS)]
        lines += [
            page("f", "reranked", user="x", reranked=DOCUMENTS, status="failed", reason="overload"),
            click("?", "a"),
        ]
        path.write_text("".join(line.model_dump_json() + "\n" for line in lines) + "cut")
        result = self.typed(str(path))
        assert result.exception is None
        assert "1 unreadable lines" in result.output
        assert "1 of " in result.output
        for words in ("interleaved", "overload", "share won by reranked", "click-through", "RBO", "p95 ms"):
            assert words in result.output

    def test_json_holds_the_same(self, tmp_path: Path) -> None:
        path = tmp_path / "rollout.log"
        path.write_text("".join(line.model_dump_json() + "\n" for line in visits((0.3, 0.4), users=80)))
        found = json.loads(self.typed(str(path), "--json").output)
        comparison = compare([path])
        assert found == json.loads(json.dumps(asdict(comparison) | {"verdict": verdict(comparison)}))

    def test_search_and_click_in_two_files(self, tmp_path: Path) -> None:
        one, two = tmp_path / "1", tmp_path / "2"
        one.write_text(click("s", "a").model_dump_json())
        two.write_text(page("s", "base").model_dump_json())
        assert json.loads(self.typed(str(one), str(two), "--json").output)["arms"]["base"]["clicked"] == 1

    def test_a_file_that_is_not_there(self) -> None:
        assert "nowhere.log: cannot be read" in str(self.typed("nowhere.log").exception)
