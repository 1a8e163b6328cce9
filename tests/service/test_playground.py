"""The playground in a real browser, in front of a real Elasticsearch: seen, used by keyboard, rated, on a phone."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import quote_plus

import pytest
from elasticsearch import AsyncElasticsearch
from playwright.async_api import Browser, Page, expect

from tests.service.browser import chromium, opened, violations
from tests.service.conftest import Serve, serving
from tests.service.servers.models import ModelServer, model_server
from tests.service.servers.recording import recording
from tests.service.test_playground_routes import NO_INDICES

pytestmark = pytest.mark.one_version

QUERY = "parse command line arguments"
JUDGMENTS = "test-playground-judgments"
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all tests; each test has a profile of its own in it."""
    async with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def model_process() -> Iterator[ModelServer]:
    """A ranker whose order is known: the base order's opposite."""
    with model_server() as server:
        yield server


@pytest.fixture(autouse=True)
def model(model_process: ModelServer) -> ModelServer:
    """The ranker, in working order."""
    model_process.mode("ok")
    return model_process


@pytest.fixture(autouse=True)
async def _no_judgments(es: AsyncElasticsearch) -> AsyncIterator[None]:
    """No test sees another's ratings."""
    yield
    await es.indices.delete(index=JUDGMENTS, ignore_unavailable=True)


@pytest.fixture(scope="module")
async def playground(
    serve: Serve, library: str, model_process: ModelServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """The page's address. No order is remembered, so that each test sees how it comes about."""
    profiles = (model_process.profile(tmp_path_factory.mktemp("profiles")), "encoder")
    flags = {"service.profiles": profiles, "service.judgments_index": JUDGMENTS, "service.cache_ttl": 0.001}
    async with serve(flags) as url:
        yield f"{url}/playground"


def searching(query: str = QUERY, profile: str = "backwards", depth: int = 10, index: str = "library") -> str:
    """The part of an address that is a search."""
    return f"#index={index}&q={quote_plus(query)}&profile={profile}&depth={depth}"


async def ranked(page: Page) -> None:
    """Wait until the first search of a page has come to its end."""
    await expect(page.locator("#reranked .hit").first).to_be_visible(timeout=60_000)


@asynccontextmanager
async def another(page: Page) -> AsyncIterator[None]:
    """The block begins another search, or rates a hit; behind it, that has come to its end."""
    async with page.expect_response("**/api/measures", timeout=60_000):
        yield
    await expect(page.locator("#run")).to_be_visible()


async def titles(page: Page, column: str) -> list[str]:
    return await page.locator(f"#{column} li:not([hidden]) .title").all_inner_texts()


async def wide(page: Page) -> bool:
    """Whether the page must be scrolled sideways."""
    return await page.evaluate("document.scrollingElement.scrollWidth > document.scrollingElement.clientWidth")


async def test_both_orders_stand_side_by_side_with_lines(browser: Browser, playground: str) -> None:
    async with opened(browser, playground) as page:
        await expect(page.locator("#empty")).to_be_visible()
        await page.select_option("#index", "library")
        await page.select_option("#profile", "backwards")
        await page.fill("#query", QUERY)
        await page.fill("#depth", "12")
        await page.click("#run")
        await ranked(page)
        base, reranked = await titles(page, "base"), await titles(page, "reranked")
        assert len(base) == 20
        assert reranked == [*base[11::-1], *base[12:]]
        await expect(page.locator("#summary")).to_have_text(
            "10 of the top 10 changed; 2 came from below; result 12 moved to 1."
        )
        kinds = [await page.locator(f"#lines path.{kind}").count() for kind in ("up", "down", "same")]
        assert kinds == [6, 6, 8]
        first = page.locator("#reranked li").first
        await expect(first.locator(".move")).to_contain_text("▲ 11")
        await expect(page.locator("#base li").first.locator(".move")).to_contain_text("▼ 12")
        dashes = "path => getComputedStyle(path).strokeDasharray"
        assert await page.locator("#lines path.down").first.evaluate(dashes) != "none"
        assert await page.locator("#lines path.up").first.evaluate(dashes) == "none"
        await expect(page.locator("#facts")).to_contain_text("✓ reranked")
        await expect(page.locator("#facts")).to_contain_text("7 in, 3 out")
        await expect(page.locator("#windows .window")).to_contain_text("12 hits")


async def test_a_line_goes_from_its_hit_to_its_hit(browser: Browser, playground: str) -> None:
    async with opened(browser, playground + searching(depth=3)) as page:
        await ranked(page)
        ends = await page.evaluate(
            """() => {
              const top = document.querySelector("#lines").getBoundingClientRect().top;
              const middle = (row) => {
                const box = row.getBoundingClientRect();
                return box.top - top + box.height / 2;
              };
              const rows = (id) => document.querySelector(`#${id} [data-hit="3"]`);
              const path = document.querySelector('#lines [data-hit="3"]');
              const length = path.getTotalLength();
              return [path.getPointAtLength(0).y - middle(rows("base")),
                      path.getPointAtLength(length).y - middle(rows("reranked"))];
            }"""
        )
        assert ends == [pytest.approx(0, abs=0.5)] * 2


async def test_pointing_at_a_hit_shows_its_text_and_its_pair(browser: Browser, playground: str) -> None:
    async with opened(browser, playground + searching()) as page:
        await ranked(page)
        await page.locator('#base [data-hit="4"] .hit').hover()
        await expect(page.locator(".looked")).to_have_count(3)
        title = await page.locator('#base [data-hit="4"] .title').inner_text()
        await expect(page.locator("#hit h3")).to_have_text(title)
        await expect(page.locator("#hit .places")).to_contain_text("▼ Down to 7")
        assert len(await page.locator("#hit .text").inner_text()) > 20


async def test_ratings_go_to_the_index_and_both_orders_are_measured(
    browser: Browser, playground: str, es: AsyncElasticsearch
) -> None:
    async with opened(browser, playground + searching()) as page:
        await ranked(page)
        await expect(page.locator("#facts")).to_contain_text("Rate hits to measure both orders.")
        for grade in ("1", "3"):
            async with another(page):
                await page.locator("#reranked li").first.locator(f'input[value="{grade}"]').check()
        await expect(page.locator("#facts")).to_contain_text("0.289 → 1.000 +0.711")
        await expect(page.locator("#facts")).to_contain_text("Rated in the top 10: 1 → 1")
        [hit] = (await es.search(index=JUDGMENTS))["hits"]["hits"]
        assert (hit["_source"]["query"], hit["_source"]["grade"]) == (QUERY, 3)
        await page.reload()
        await ranked(page)
        await expect(page.locator("#reranked li").first.locator('input[value="3"]')).to_be_checked()


async def test_the_keyboard_is_enough(browser: Browser, playground: str, es: AsyncElasticsearch) -> None:
    async with opened(browser, playground) as page:
        await page.select_option("#index", "library")
        await page.keyboard.press("Tab")
        for _ in range(12):
            if await page.evaluate("document.activeElement.id") == "query":
                break
            assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            await page.keyboard.press("Tab")
        await page.keyboard.type(QUERY)
        await page.keyboard.press("Control+Enter")
        await ranked(page)
        for _ in range(30):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.matches('#base .hit')"):
                break
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("ArrowRight")
        assert await page.evaluate("document.activeElement.closest('#reranked [data-hit]').dataset.hit") == "2"
        assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        await expect(page.locator("#hit .places")).to_contain_text("Base rank 2")
        await page.keyboard.press("2")
        await expect(page.locator("#facts")).to_contain_text("Rated in the top 10: 1")
        [hit] = (await es.search(index=JUDGMENTS))["hits"]["hits"]
        assert hit["_source"]["grade"] == 2


async def test_reasoning_comes_in_while_the_ranker_works(browser: Browser, serve: Serve, library: str) -> None:
    """A real small model: two windows of five, so that the first is there before the order is."""
    flags = {"profile": "embedded", "service.deadline": 240.0}
    async with (
        serve(flags) as url,
        opened(browser, f"{url}/playground{searching(profile='embedded', depth=7)}") as page,
    ):
        await expect(page.locator("#base .hit").first).to_be_visible()
        first = page.locator("#windows .window").first
        await expect(first).to_be_visible(timeout=200_000)
        assert await page.locator("#reranked .hit").count() == 0
        await expect(first.locator(".reasoning")).to_contain_text("The search query asks")
        await expect(first).to_contain_text("tokens")
        await expect(page.locator("#windows .asking")).to_be_visible()
        await expect(page.locator("#reranked .hit").first).to_be_visible(timeout=200_000)
        await expect(page.locator("#windows .window")).to_have_count(2)
        await expect(page.locator("#windows .asking")).to_have_count(0)


async def test_a_real_encoder_ranks(browser: Browser, playground: str) -> None:
    async with opened(browser, playground + searching(profile="encoder", depth=20)) as page:
        await ranked(page)
        scores = [float(text.split()[-1]) for text in await page.locator("#reranked .score").all_text_contents()]
        assert scores == sorted(scores, reverse=True)
        assert len(set(scores)) > 15
        await expect(page.locator("#windows")).to_contain_text("20 hits scored one by one")


async def test_a_search_can_be_shared_and_gone_back_to(browser: Browser, playground: str) -> None:
    async with opened(browser, playground + searching()) as page:
        await ranked(page)
        await page.fill("#query", "open a file")
        async with another(page):
            await page.click("#run")
        await expect(page).to_have_url(re.compile(r"q=open\+a\+file"))
        address, shown = page.url, await titles(page, "reranked")
        async with another(page):
            await page.go_back()
        await expect(page.locator("#query")).to_have_value(QUERY)
        assert await titles(page, "reranked") != shown
    async with opened(browser, address) as page:
        await ranked(page)
        assert await titles(page, "reranked") == shown
        assert await page.input_value("#depth") == "10"


async def test_a_search_body_can_be_given(browser: Browser, playground: str) -> None:
    async with opened(browser, playground) as page:
        await page.select_option("#index", "library")
        await page.select_option("#profile", "backwards")
        await page.click("#body-toggle")
        await page.fill("#body", json.dumps({"query": {"match": {"title": "argparse"}}}))
        await page.keyboard.press("Control+Enter")
        await ranked(page)
        assert all("argparse" in title for title in await titles(page, "base"))
        await expect(page).to_have_url(re.compile("body="))


WRONG = [
    ('{"query":', "library", "The search body is not valid JSON: Expecting value at line 1, column 10."),
    ("", "no-such-index", "Index 'no-such-index' does not exist; create it with:"),
    ('{"query": {"mtach": {"a": "b"}}}', "library", "Elasticsearch does not accept the request on index 'library'"),
]


async def test_what_is_wrong_is_one_sentence(browser: Browser, playground: str) -> None:
    async with opened(browser, playground + searching(), failing=True) as page:
        await ranked(page)
        message = page.get_by_role("alert")
        for body, index, sentence in WRONG:
            await page.goto(playground + searching(index=index) + (f"&body={quote_plus(body)}" if body else ""))
            await expect(message).to_contain_text(sentence)
            assert "\n" not in await message.inner_text()
            await expect(page.locator("#results")).to_be_hidden()
            async with another(page):
                await page.goto(playground + searching())
            await expect(message).to_be_hidden()
            await expect(page.locator("#results")).to_be_visible()


async def test_a_model_that_fails_is_told_of_with_its_reason(
    browser: Browser, playground: str, model: ModelServer
) -> None:
    model.mode("broken")
    async with opened(browser, playground + searching()) as page:
        await ranked(page)
        await expect(page.locator("#summary")).to_have_text("The base order is kept.")
        await expect(page.locator("#facts")).to_contain_text("✕ base order kept (model_failed)")
        await expect(page.locator("#windows")).to_contain_text("✕ engine_error")
        assert await titles(page, "base") == await titles(page, "reranked")


async def test_a_search_can_be_stopped(browser: Browser, playground: str, model: ModelServer) -> None:
    model.mode("slow")
    async with opened(browser, playground + searching() + "&deadline=60") as page:
        await expect(page.locator("#base .hit").first).to_be_visible()
        await page.click("#stop")
        await expect(page.locator("#run")).to_be_visible()
        await expect(page.locator("#windows .asking")).to_have_count(0)
        assert await page.locator("#reranked li").count() == 0


async def test_queries_are_listed_by_gain(browser: Browser, playground: str) -> None:
    async with opened(browser, playground) as page:
        for query, place in ((QUERY, 1), ("open a file", 10)):
            async with another(page):
                await page.goto(playground + searching(query))
            async with another(page):
                await page.locator(f"#reranked li:nth-child({place}) input[value='3']").check()
            await expect(page.locator("#facts")).to_contain_text("Rated in the top 10: 1")
        await page.click("#view-queries")
        rows = page.locator("#queries-table tbody tr")
        await expect(rows).to_have_count(2)
        await expect(rows.first).to_contain_text(QUERY)
        await expect(rows.first).to_contain_text("▲ +0.711")
        await expect(rows.last).to_contain_text("▼ −0.711")
        await expect(page.locator("#queries-mean")).to_contain_text("1 better and 1 worse")
        await page.get_by_role("button", name="Gain").click()
        await expect(rows.first).to_contain_text("open a file")
        await expect(page.locator("th[aria-sort=ascending]")).to_have_text(re.compile("Gain"))
        async with another(page):
            await rows.first.get_by_role("link").click()
        await expect(page.locator("#query")).to_have_value("open a file")
    async with opened(browser, f"{playground}#view=queries") as page:
        # Another browser knows of the judgments, and measures them itself.
        await expect(page.locator("#queries-table tbody tr")).to_have_count(2)
        await page.evaluate("document.querySelector('#profile').value = 'backwards'")
        await page.click("#view-compare")
        await page.click("#view-queries")
        await page.get_by_role("button", name="Measure 2 queries with backwards").click()
        # Here the ranker turns all hits round, not the first ten: neither rated hit stays in the top ten.
        await expect(page.locator("#queries-mean")).to_contain_text("0 better and 2 worse", timeout=60_000)


async def test_a_login_stays_in_the_tab(browser: Browser, playground: str) -> None:
    async with opened(browser, playground + searching()) as page:
        await ranked(page)
        await page.click("#access-open")
        await page.select_option("#access-kind", "basic")
        await page.fill("#access-user", "me")
        await page.fill("#access-password", "s3cret-ü")
        await page.fill("#access-service", "esr_key")
        await page.keyboard.press("Enter")
        await expect(page.locator("dialog[open]")).to_have_count(0)
        async with page.expect_request("**/api/search") as sent, another(page):
            await page.click("#run")
        headers = (await sent.value).headers
        assert base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode() == "me:s3cret-ü"
        assert headers["x-api-key"] == "esr_key"
        kept = await page.evaluate("JSON.stringify([localStorage, sessionStorage, location.href, document.cookie])")
        assert "s3cret" not in kept
        assert "esr_key" not in kept


async def test_who_needs_a_login_is_asked_for_one(browser: Browser) -> None:
    """The service has a login of its own, and the page's user is not on its machine: a proxy says so."""
    login = {"elastic.username": "service", "elastic.password": "own-secret"}
    far = {"X-Forwarded-For": "192.0.2.7"}
    async with (
        recording(NO_INDICES) as server,
        serving({"profile": "identity", "elastic.url": server.url, **login}) as url,
    ):
        async with opened(browser, f"{url}/playground", failing=True, extra_http_headers=far) as page:
            await expect(page.locator("#access-why")).to_contain_text("A login to Elasticsearch is needed here")
            await page.select_option("#access-kind", "key")
            await page.fill("#access-api-key", "mine")
            await page.keyboard.press("Enter")
            await expect(page.locator("#profile")).to_have_value("identity")
            await expect(page.locator("#message")).to_be_hidden()
        assert [b"ApiKey mine"] in [request.of(b"authorization") for request in server.requests]


async def test_the_search_can_be_copied(browser: Browser, playground: str) -> None:
    rights = ["clipboard-read", "clipboard-write"]
    async with opened(browser, playground + searching(), permissions=rights) as page:
        await ranked(page)
        for name, start in (("curl", "curl "), ("Python", "from elasticsearch import")):
            await page.get_by_role("button", name=f"Copy as {name}").click()
            copied = await page.evaluate("navigator.clipboard.readText()")
            assert copied.startswith(start)
            assert QUERY in copied
            assert playground.removesuffix("/playground") in copied


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_is_scrolled_sideways_on_a_phone(browser: Browser, playground: str, scheme: str) -> None:
    async with opened(browser, playground + searching(), color_scheme=scheme, **PHONE) as page:
        await ranked(page)
        assert not await wide(page)
        assert await page.locator("#lines path").count() > 10
        await page.locator("#reranked .hit").nth(3).click()
        await expect(page.locator("#hit .text")).to_be_visible()
        assert not await wide(page)
        assert await violations(page) == []
        await page.keyboard.press("Escape")
        await expect(page.locator("#hit")).to_be_hidden()
        await page.click("#body-toggle")
        assert not await wide(page)
        await page.click("#view-queries")
        assert not await wide(page)
        assert await violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_to_complain_of(browser: Browser, playground: str, scheme: str) -> None:
    async with opened(browser, playground, color_scheme=scheme, failing=True) as page:
        await expect(page.locator("#index option").first).to_be_attached()
        assert await violations(page) == []
        await page.goto(playground + searching(depth=12))
        await ranked(page)
        await page.locator("#reranked li").first.locator('input[value="3"]').check()
        await expect(page.locator("#facts")).to_contain_text("→ 1.000")
        await page.locator("#reranked .hit").nth(2).focus()
        await page.locator("#windows summary").click()
        assert await violations(page) == []
        await page.click("#view-queries")
        assert await violations(page) == []
        await page.click("#access-open")
        assert await violations(page) == []
        await page.click("#access-cancel")
        await page.goto(playground + searching(index="no-such-index"))
        await expect(page.get_by_role("alert")).to_be_visible()
        assert await violations(page) == []


async def test_dark_is_dark_and_still_is_still(browser: Browser, playground: str) -> None:
    options = {"color_scheme": "dark", "reduced_motion": "reduce"}
    async with opened(browser, playground + searching(), **options) as page:
        await ranked(page)
        ground = await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert all(int(part) < 50 for part in re.findall(r"\d+", ground))
        assert await page.evaluate("document.getAnimations().length") == 0
        assert (
            await page.locator("#lines path").first.evaluate("path => getComputedStyle(path).transitionDuration")
            == "0s"
        )
