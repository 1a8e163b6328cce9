"""Searches that ask for a reranking, in every way that there is to ask."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from elasticsearch import AsyncElasticsearch

from es_reasonrank.elastic.mappings import Kind, recreate_index
from tests.service.conftest import Serve
from tests.service.search.articles import INDEX

PATH = f"/{INDEX}/_search"
RIVER: dict[str, Any] = {"query": {"match": {"body": "river stone"}}}
ENCODER = {"query": "copper and glass", "fields": ["title", "body"], "profile": "encoder", "depth": 30}


async def ask(client: httpx.AsyncClient, body: dict[str, Any], **parameters: Any) -> httpx.Response:
    """A search, and that it was answered."""
    answer = await client.post(PATH, json=body, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer


def ids(answer: httpx.Response) -> list[str]:
    """The hits' ids."""
    return [hit["_id"] for hit in answer.json()["hits"]["hits"]]


def scores(answer: httpx.Response) -> list[float]:
    """The hits' scores."""
    return [hit["_score"] for hit in answer.json()["hits"]["hits"]]


class TestOrder:
    async def test_a_model_orders_the_hits(self, proxied: httpx.AsyncClient, direct: httpx.AsyncClient) -> None:
        base = await ask(direct, {**RIVER, "size": 30})
        ours = await ask(proxied, {**RIVER, "size": 30, "ext": {"rerank": ENCODER}})
        assert ours.headers["X-Rerank-Status"] == "ok"
        assert sorted(ids(ours)) == sorted(ids(base))
        assert ids(ours) != ids(base)
        assert scores(ours) == sorted(scores(ours), reverse=True)
        assert ours.json()["hits"]["max_score"] == scores(ours)[0]
        words = [hit["_source"]["title"] + hit["_source"]["body"] for hit in ours.json()["hits"]["hits"]]
        assert sum("copper" in text or "glass" in text for text in words[:10]) > sum(
            "copper" in text or "glass" in text for text in words[-10:]
        )

    async def test_pages_go_on_without_gaps_or_doubles(self, proxied: httpx.AsyncClient) -> None:
        whole = await ask(proxied, {**RIVER, "size": 50, "ext": {"rerank": ENCODER}})
        pages = [
            ids(await ask(proxied, {**RIVER, "from": start, "size": 10, "ext": {"rerank": ENCODER}}))
            for start in range(0, 50, 10)
        ]
        assert [name for page in pages for name in page] == ids(whole)

    async def test_a_page_behind_the_window_is_the_servers(
        self, proxied: httpx.AsyncClient, direct: httpx.AsyncClient
    ) -> None:
        ours = await ask(proxied, {**RIVER, "from": 30, "size": 10, "ext": {"rerank": ENCODER}})
        assert ids(ours) == ids(await ask(direct, {**RIVER, "from": 30, "size": 10}))
        assert ours.headers["X-Rerank-Status"] == "skipped; reason=beyond_depth"

    @pytest.mark.parametrize("source", [False, ["tag"], {"excludes": ["*"]}])
    async def test_texts_need_not_be_shown(self, source: object, proxied: httpx.AsyncClient) -> None:
        shown = await ask(proxied, {**RIVER, "size": 30, "ext": {"rerank": ENCODER}})
        hidden = await ask(proxied, {**RIVER, "size": 30, "_source": source, "ext": {"rerank": ENCODER}})
        assert ids(hidden) == ids(shown)
        assert not any("body" in hit.get("_source", {}) or "fields" in hit for hit in hidden.json()["hits"]["hits"])

    async def test_nested_texts_and_templates_are_read(self, proxied: httpx.AsyncClient) -> None:
        for asked in ({"fields": ["comments.text"]}, {"template": "{{title}} of {{year}}"}):
            answer = await ask(
                proxied, {**RIVER, "size": 5, "ext": {"rerank": {"query": "a river", "profile": "encoder", **asked}}}
            )
            assert answer.headers["X-Rerank-Status"] == "ok"

    async def test_without_fields_the_index_tells(self, proxied: httpx.AsyncClient) -> None:
        answer = await ask(proxied, {**RIVER, "ext": {"rerank": {"profile": "encoder", "explain": True}}})
        assert answer.headers["X-Rerank-Status"] == "ok"

    async def test_best_passages_can_be_read(self, proxied: httpx.AsyncClient) -> None:
        answer = await ask(proxied, {**RIVER, "ext": {"rerank": {**ENCODER, "take": "best"}}})
        assert answer.headers["X-Rerank-Status"] == "ok"
        assert not any("highlight" in hit for hit in answer.json()["hits"]["hits"])


class TestScores:
    async def test_the_servers_can_be_kept(self, proxied: httpx.AsyncClient, direct: httpx.AsyncClient) -> None:
        base = {hit["_id"]: hit["_score"] for hit in (await ask(direct, {**RIVER, "size": 30})).json()["hits"]["hits"]}
        ours = await ask(proxied, {**RIVER, "size": 30, "ext": {"rerank": {**ENCODER, "score_mode": "keep"}}})
        assert {hit["_id"]: hit["_score"] for hit in ours.json()["hits"]["hits"]} == base
        assert scores(ours) != sorted(scores(ours), reverse=True)

    async def test_both_can_be_put_together(self, proxied: httpx.AsyncClient, direct: httpx.AsyncClient) -> None:
        base = {hit["_id"]: hit["_score"] for hit in (await ask(direct, {**RIVER, "size": 30})).json()["hits"]["hits"]}
        asked = {**ENCODER, "score_mode": "total", "query_weight": 0.5, "rescore_query_weight": 2, "explain": True}
        both = await ask(proxied, {**RIVER, "size": 30, "ext": {"rerank": asked}})
        alone = await ask(proxied, {**RIVER, "size": 30, "ext": {"rerank": ENCODER}})
        new = {hit["_id"]: hit["_score"] for hit in alone.json()["hits"]["hits"]}
        for hit in both.json()["hits"]["hits"]:
            assert hit["_score"] == pytest.approx(0.5 * base[hit["_id"]] + 2 * new[hit["_id"]])
        assert scores(both) == sorted(scores(both), reverse=True)

    async def test_explained_hits_say_where_they_stood(
        self, proxied: httpx.AsyncClient, direct: httpx.AsyncClient
    ) -> None:
        base = ids(await ask(direct, {**RIVER, "size": 30}))
        answer = (await ask(proxied, {**RIVER, "ext": {"rerank": {**ENCODER, "explain": True}}})).json()
        for rank, hit in enumerate(answer["hits"]["hits"], start=1):
            assert hit["_rerank"]["rank"] == rank
            assert base[hit["_rerank"]["base_rank"] - 1] == hit["_id"]
            assert hit["_rerank"]["score"] == hit["_score"]
        assert answer["_rerank"]["status"] == "ok"
        assert len(answer["_rerank"]["trace"]) == answer["_rerank"]["windows"] > 0


class TestWays:
    async def test_a_parameter_asks(self, proxied: httpx.AsyncClient) -> None:
        answer = await ask(proxied, RIVER, rerank="encoder")
        assert answer.headers["X-Rerank-Status"] == "ok"
        assert 0 < scores(answer)[0] <= 1

    async def test_a_uri_search_is_reranked(self, proxied: httpx.AsyncClient) -> None:
        answer = await proxied.get(PATH, params={"q": "body:(river stone)", "rerank": "true", "size": "3"})
        assert answer.headers["X-Rerank-Status"] == "ok"
        assert len(ids(answer)) == 3

    async def test_a_header_turns_it_off(self, proxied: httpx.AsyncClient, direct: httpx.AsyncClient) -> None:
        body = {**RIVER, "ext": {"rerank": ENCODER}}
        answer = await proxied.post(PATH, json=body, headers={"X-Rerank": "off"})
        assert answer.headers["X-Rerank-Status"] == "skipped; reason=turned_off"
        assert ids(answer) == ids(await ask(direct, RIVER))

    async def test_rules_rerank_clients_that_do_not_ask(self, serve: Serve, articles: str) -> None:
        rules = [{"indices": ["art*"], "profile": "encoder", "fields": ["body"], "depth": 20}]
        flags = {"service.rules": rules, "service.profiles": ["encoder"], "service.deadline": 60}
        async with serve(flags) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
            assert (await ask(client, RIVER)).headers["X-Rerank-Status"] == "ok"
            uri = await client.get(PATH, params={"q": "body:river"})
            assert uri.headers["X-Rerank-Status"] == "ok"
            off = await ask(client, RIVER, rerank="false")
            assert off.headers["X-Rerank-Status"] == "skipped; reason=turned_off"
            nothing = await ask(client, {"query": {"match_all": {}}})
            assert nothing.headers["X-Rerank-Status"] == "skipped; reason=no_query"
            everything = await client.post("/_search", json=RIVER)
            assert "X-Rerank-Status" not in everything.headers

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"size": 0}, "no_hits"),
            ({"sort": ["year"]}, "sort"),
            ({"sort": ["year"], "search_after": [2001]}, "search_after"),
            ({"stored_fields": "_none_", "_source": False}, "stored_fields_none"),
            ({"query": {"match_all": {}}, "ext": {"rerank": {}}}, "no_query"),
        ],
    )
    async def test_what_cannot_be_reranked_says_so(
        self, change: dict[str, Any], reason: str, proxied: httpx.AsyncClient
    ) -> None:
        answer = await ask(proxied, {**RIVER, "ext": {"rerank": {"query": "river"}}, **change})
        assert answer.headers["X-Rerank-Status"] == f"skipped; reason={reason}"

    async def test_a_scroll_is_the_servers(self, proxied: httpx.AsyncClient) -> None:
        answer = await ask(proxied, {**RIVER, "ext": {"rerank": ENCODER}}, scroll="1m")
        assert answer.headers["X-Rerank-Status"] == "skipped; reason=scroll"
        assert answer.json()["_scroll_id"]

    async def test_a_window_that_the_server_refuses(self, proxied: httpx.AsyncClient, es: AsyncElasticsearch) -> None:
        await es.indices.delete(index="narrow", ignore_unavailable=True)
        await es.indices.create(index="narrow", settings={"index.max_result_window": 20})
        await es.index(index="narrow", document={"body": "a river"}, refresh=True)
        body = {**RIVER, "ext": {"rerank": {"fields": ["body"], "depth": 50}}}
        answer = await proxied.post("/narrow/_search", json=body)
        assert answer.status_code == 200
        assert answer.headers["X-Rerank-Status"] == "skipped; reason=window_refused"
        assert len(ids(answer)) == 1

    @pytest.mark.parametrize(
        ("asked", "words"),
        [
            ({"querry": "x"}, "did you mean 'query'"),
            ({"profile": "nobody"}, "profile 'nobody' is not served here"),
            ({"deadline": "soon"}, "deadline"),
            ("x", "must be an object"),
        ],
    )
    async def test_asking_wrongly_is_an_error_like_the_servers(
        self, asked: object, words: str, proxied: httpx.AsyncClient
    ) -> None:
        answer = await proxied.post(PATH, json={**RIVER, "ext": {"rerank": asked}})
        assert answer.status_code == 400
        error = answer.json()
        assert error["status"] == 400
        assert error["error"]["type"] == "parsing_exception"
        assert words in error["error"]["reason"]


class TestRetriever:
    def body(self, **options: Any) -> dict[str, Any]:
        known = {
            "retriever": {"standard": RIVER},
            "field": "body",
            "inference_id": "encoder",
            "inference_text": "copper and glass",
            "rank_window_size": 20,
        }
        return {"text_similarity_reranker": {**known, **options}}

    async def test_the_licensed_body_runs(self, proxied: httpx.AsyncClient) -> None:
        first = await ask(proxied, {"retriever": self.body(), "size": 8})
        assert first.headers["X-Rerank-Status"] == "ok"
        assert scores(first) == sorted(scores(first), reverse=True)
        rest = await ask(proxied, {"retriever": self.body(), "from": 8, "size": 100})
        assert len(set(ids(first) + ids(rest))) == 20
        assert ids(await ask(proxied, {"retriever": self.body(), "from": 30})) == []

    async def test_filters_and_least_scores_hold(self, proxied: httpx.AsyncClient) -> None:
        answer = await ask(proxied, {"retriever": self.body(filter={"term": {"tag": "river"}}), "size": 20})
        assert {hit["_source"]["tag"] for hit in answer.json()["hits"]["hits"]} == {"river"}
        every = scores(await ask(proxied, {"retriever": self.body(), "size": 20}))
        some = scores(await ask(proxied, {"retriever": self.body(min_score=every[4]), "size": 20}))
        assert some == every[:5]

    async def test_inside_of_another_retriever(self, proxied: httpx.AsyncClient) -> None:
        alone = await ask(proxied, {"retriever": self.body(), "size": 20})
        rescore = {"window_size": 20, "query": {"rescore_query": {"match_all": {}}, "rescore_query_weight": 0.0}}
        outer = {"rescorer": {"retriever": self.body(), "rescore": rescore}}
        inside = await ask(proxied, {"retriever": outer, "size": 20})
        assert ids(inside) == ids(alone)
        assert inside.headers["X-Rerank-Status"] == "ok"

    async def test_inside_of_another_of_ours(self, proxied: httpx.AsyncClient) -> None:
        inner = self.body(rank_window_size=10)
        answer = await ask(proxied, {"retriever": self.body(retriever=inner, inference_text="winter"), "size": 20})
        assert sorted(ids(answer)) == sorted(ids(await ask(proxied, {"retriever": inner, "size": 20})))

    async def test_a_wrong_key_is_named(self, proxied: httpx.AsyncClient) -> None:
        answer = await proxied.post(PATH, json={"retriever": self.body(rank_windw=3)})
        assert answer.status_code == 400
        assert "[text_similarity_reranker]: unknown key 'rank_windw'" in answer.json()["error"]["reason"]


class TestSeveral:
    async def test_each_search_gets_what_it_asks_for(
        self, proxied: httpx.AsyncClient, direct: httpx.AsyncClient
    ) -> None:
        bodies: list[dict[str, Any]] = [
            {**RIVER, "size": 5},
            {**RIVER, "size": 5, "ext": {"rerank": ENCODER}},
            {**RIVER, "ext": {"rerank": {"querry": "x"}}},
            {"query": {"match": {"year": "no number"}}, "ext": {"rerank": ENCODER}},
            {**RIVER, "size": 5, "sort": ["year"], "ext": {"rerank": ENCODER}},
        ]
        header = json.dumps({"index": INDEX})
        content = "".join(f"{header}\n{json.dumps(body)}\n" for body in bodies)
        answer = await proxied.post("/_msearch", content=content, headers={"Content-Type": "application/x-ndjson"})
        assert answer.status_code == 200
        plain, reranked, wrong, refused, sorted_by_year = answer.json()["responses"]
        single = await ask(proxied, bodies[1])
        assert [hit["_id"] for hit in reranked["hits"]["hits"]] == ids(single)
        assert [hit["_id"] for hit in plain["hits"]["hits"]] == ids(await ask(direct, {**RIVER, "size": 5}))
        assert "did you mean 'query'" in wrong["error"]["reason"]
        assert wrong["status"] == 400
        assert refused["status"] == 400
        assert sorted_by_year["hits"]["hits"]
        nonsense = content + f'{header}\n{{"query":{{"nonsense":{{}}}}}}\n'
        whole = await proxied.post("/_msearch", content=nonsense, headers={"Content-Type": "application/x-ndjson"})
        assert (whole.status_code, "nonsense" in whole.text) == (400, True)
        told = answer.headers["X-Rerank-Status"].split(", ")
        assert told == ["-", "ok", "-", "skipped; reason=window_refused", "skipped; reason=sort"]

    async def test_texts_that_are_not_shown_are_read(self, proxied: httpx.AsyncClient) -> None:
        body = {**RIVER, "_source": False, "size": 30, "ext": {"rerank": ENCODER}}
        content = f"{json.dumps({'index': [INDEX, 'a*ticles']})}\n{json.dumps(body)}\n"
        kind = "application/vnd.elasticsearch+x-ndjson; compatible-with=8"
        accept = "application/vnd.elasticsearch+json; compatible-with=8"
        answer = await proxied.post("/_msearch", content=content, headers={"Content-Type": kind, "Accept": accept})
        assert answer.headers["X-Rerank-Status"] == "ok"
        (found,) = answer.json()["responses"]
        assert [hit["_id"] for hit in found["hits"]["hits"]] == ids(await ask(proxied, body))


class TestResults:
    async def test_what_batch_wrote_is_served(self, serve: Serve, es: AsyncElasticsearch, articles: str) -> None:
        await recreate_index(es, "written", Kind.RESULTS)
        base = (await es.search(index=INDEX, query=RIVER["query"], size=5))["hits"]["hits"]
        backwards = [
            {"id": hit["_id"], "index": hit["_index"], "score": 5.0 - place} for place, hit in enumerate(base[::-1])
        ]
        document = {
            "query": "what batch knows",
            "profile": "encoder",
            "status": "ok",
            "created": "2100-01-01T00:00:00Z",
            "order": backwards,
        }
        await es.index(index="written", document=document, refresh=True)
        flags = {"service.results_index": "written", "service.profiles": ["encoder"], "service.deadline": 60}
        async with serve(flags) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
            asked = {**ENCODER, "query": "what batch knows", "depth": 5}
            known = await ask(client, {**RIVER, "size": 5, "ext": {"rerank": asked}})
            assert known.headers["X-Rerank-Source"] == "results"
            assert known.headers["X-Rerank-Windows"].startswith("0")
            assert ids(known) == [entry["id"] for entry in backwards]
            for change in ({"depth": 6}, {"query": "what nobody knows"}, {"profile": "identity"}):
                other = await ask(client, {**RIVER, "size": 5, "ext": {"rerank": {**asked, **change}}})
                assert other.headers.get("X-Rerank-Source") != "results"
                assert other.headers["X-Rerank-Status"] == "ok"


class TestFailure:
    async def test_a_dead_model_leaves_the_base_order_and_says_so(
        self, serve: Serve, articles: str, direct: httpx.AsyncClient
    ) -> None:
        flags = {"profile": "rankgpt", "engine.base_url": "http://127.0.0.1:9/v1", "engine.model": "nobody"}
        async with serve(flags) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
            body = {**RIVER, "ext": {"rerank": {"fields": ["body"], "deadline": "2s"}}}
            answer = await ask(client, body)
            assert answer.headers["X-Rerank-Status"].startswith("failed; reason=")
            base = await ask(direct, RIVER)
            assert (ids(answer), scores(answer)) == (ids(base), scores(base))
            body["ext"]["rerank"]["on_failure"] = "error"
            refused = await client.post(PATH, json=body)
            assert refused.status_code in (503, 504)
            assert refused.json()["error"]["type"] == "rerank_exception"
            assert refused.headers["X-Rerank-Status"].startswith("failed")

    async def test_many_at_once_are_all_answered(self, proxied: httpx.AsyncClient) -> None:
        answers = await asyncio.gather(
            *(ask(proxied, {**RIVER, "size": size, "ext": {"rerank": {"query": "river"}}}) for size in range(1, 40))
        )
        assert [len(ids(answer)) for answer in answers] == list(range(1, 40))
