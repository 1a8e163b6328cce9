"""Hits out of a real server as candidates: their text from every kind of field, their order from one page or many."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from es_reasonrank.elastic import candidates
from es_reasonrank.elastic.candidates import Candidates, fetch
from es_reasonrank.elastic.passages import TextSource
from es_reasonrank.errors import SearchError
from tests.elastic.documents import ARTICLES, fill, ids, numbered

ALL: dict[str, Any] = {"query": {"match_all": {}}}
LIGHT: dict[str, Any] = {"query": {"match": {"body": "light"}}}


@pytest.fixture
async def articles(es: AsyncElasticsearch, index_name: str) -> str:
    return await fill(es, index_name)


async def top(es: AsyncElasticsearch, index: str, body: dict[str, Any] = ALL, **source: Any) -> Candidates:
    return await fetch(es, index, body, query="blue light", depth=10, source=TextSource(**source))


async def text_of(
    es: AsyncElasticsearch, index: str, name: str, body: dict[str, Any] = ALL, **source: Any
) -> tuple[str, str, str]:
    found = {item.id: item for item in (await top(es, index, body, **source)).items}
    return found[name].title, found[name].text, found[name].note


async def test_title_and_body(es: AsyncElasticsearch, articles: str) -> None:
    assert await text_of(es, articles, "sky", fields=("title", "body")) == ("Sky", ARTICLES["sky"]["body"], "")


async def test_several_fields_values_and_an_alias(es: AsyncElasticsearch, articles: str) -> None:
    body = ARTICLES["sky"]["body"]
    assert await text_of(es, articles, "sky", fields=("tags", "summary")) == ("", f"air\nlight\n{body}", "")
    assert await text_of(es, articles, "sea", fields=("tags",)) == ("", "water", "")


async def test_nested_objects(es: AsyncElasticsearch, articles: str) -> None:
    _, text, _ = await text_of(es, articles, "talk", fields=("comments.text", "comments.by.name"))
    assert text == "Blue is best.\nRed is.\nAnn\nBo"


async def test_a_template(es: AsyncElasticsearch, articles: str) -> None:
    template = "{{title}} ({{ tags }}): {{body}}"
    assert await text_of(es, articles, "sky", template=template) == (
        "",
        f"Sky (air light): {ARTICLES['sky']['body']}",
        "",
    )
    assert await text_of(es, articles, "talk", template="{{comments.by.name}}") == ("", "Ann Bo", "")


async def test_a_hit_without_text_keeps_its_place_and_says_why(es: AsyncElasticsearch, articles: str) -> None:
    found = await top(es, articles, fields=("title", "body"))
    assert [item.id for item in found.items] == ids(found.hits)
    bare = next(item for item in found.items if item.id == "bare")
    assert (bare.has_text, bare.note) == (False, "no text in fields title, body")
    assert await text_of(es, articles, "cat", template="{{tags}}!") == ("", "", "no text in field tags")


async def test_the_callers_source_filter_does_not_matter(es: AsyncElasticsearch, articles: str) -> None:
    for source in (False, {"includes": ["tags"]}, ["tags"]):
        found = await top(es, articles, {**ALL, "_source": source}, fields=("title", "body"))
        assert found.items[0].text
        assert "body" not in found.hits[0].get("_source", {})


async def test_a_field_that_only_source_holds(es: AsyncElasticsearch, index_name: str) -> None:
    await fill(es, index_name, {"a": {"body": "x", "extra": {"deep": "kept, not mapped"}}}, mapping={"dynamic": False})
    assert await text_of(es, index_name, "a", fields=("extra.deep",)) == ("", "kept, not mapped", "")


async def test_highlighted_fragments(es: AsyncElasticsearch, index_name: str) -> None:
    filler = "Nothing of interest stands in this sentence at all. " * 20
    await fill(es, index_name, {"long": {"body": f"{filler}Blue light scatters. {filler}A blue whale swims. {filler}"}})
    _, text, _ = await text_of(es, index_name, "long", fields=("body",), take="highlights", characters=40, fragments=2)
    assert "Blue light scatters." in text
    assert "blue whale" in text
    assert len(text) < 200


async def test_the_best_passages_of_a_long_text(es: AsyncElasticsearch, index_name: str) -> None:
    filler = "Nothing of interest stands in this sentence at all. " * 100
    text = f"{filler}A blue whale swims. {filler}Blue light scatters, and blue light is light. {filler}"
    await fill(es, index_name, {"long": {"body": text}, "short": {"body": "No match."}})
    _, best, _ = await text_of(es, index_name, "long", fields=("body",), take="best", characters=300, fragments=1)
    assert "blue light is light" in best
    assert "whale" not in best
    assert len(best) < 600
    assert await text_of(es, index_name, "short", fields=("body",), take="best") == ("", "No match.", "")


async def test_highlights_that_the_caller_asked_for_are_used(es: AsyncElasticsearch, articles: str) -> None:
    body = {**LIGHT, "highlight": {"fields": {"body": {}}}}
    _, text, _ = await text_of(es, articles, "sky", body, fields=("body",), take="highlights")
    assert "<em>light</em>" in text


async def test_a_document_of_two_megabytes(es: AsyncElasticsearch, index_name: str) -> None:
    await fill(es, index_name, {"huge": {"body": "light " * 400_000}})
    for take in ("all", "best", "highlights"):
        _, text, _ = await text_of(es, index_name, "huge", LIGHT, fields=("body",), take=take)
        assert text.startswith("light light")


@pytest.mark.parametrize("page", [100, 7, 1])
async def test_pages_give_the_order_of_one_request(es: AsyncElasticsearch, index_name: str, page: int) -> None:
    """Twenty-five hits, many with equal scores, over three shards."""
    await fill(es, index_name, numbered(60), shards=3)
    whole = await fetch(es, index_name, LIGHT, query="light", depth=25, source=TextSource(fields=("body",)), page=page)
    assert len(whole.items) == 25
    assert len({item.id for item in whole.items}) == 25
    scores = [item.score for item in whole.items]
    assert scores == sorted(scores, key=lambda score: -(score or 0))
    assert whole.response["hits"]["total"]["value"] == 60


async def test_pages_end_where_the_hits_do(es: AsyncElasticsearch, index_name: str) -> None:
    await fill(es, index_name, numbered(10))
    found = await fetch(es, index_name, LIGHT, query="light", depth=50, source=TextSource(fields=("body",)), page=4)
    assert len(found.items) == 10


async def test_hits_deleted_between_pages_are_still_there(
    es: AsyncElasticsearch, index_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A point in time does not move: what was found first is found to the end."""
    await fill(es, index_name, numbered(20))
    pages = candidates._pages

    async def deleting(*arguments: Any) -> AsyncIterator[dict[str, Any]]:
        async for response in pages(*arguments):
            yield response
            await es.options(ignore_status=404).delete(index=index_name, id="d019", refresh=True)

    monkeypatch.setattr(candidates, "_pages", deleting)
    found = await fetch(es, index_name, LIGHT, query="light", depth=20, source=TextSource(fields=("body",)), page=6)
    assert sorted(item.id for item in found.items) == sorted(numbered(20))


async def test_a_sort_of_the_callers_own_is_paged_too(es: AsyncElasticsearch, index_name: str) -> None:
    documents = {f"d{number}": {"body": "light", "rank": 100 - number} for number in range(12)}
    await fill(
        es, index_name, documents, mapping={"properties": {"body": {"type": "text"}, "rank": {"type": "integer"}}}
    )
    body = {**LIGHT, "sort": [{"rank": "asc"}]}
    found = await fetch(es, index_name, body, query="light", depth=12, source=TextSource(fields=("body",)), page=5)
    assert [item.id for item in found.items] == [f"d{number}" for number in range(11, -1, -1)]
    assert found.items[0].score is not None


async def test_a_collapsed_search_cannot_be_paged(es: AsyncElasticsearch, articles: str) -> None:
    body = {"query": {"ids": {"values": ["sea", "cat"]}}, "collapse": {"field": "tags"}}
    assert len((await fetch(es, articles, body, query="q", depth=5, source=TextSource(fields=("body",)))).items) == 2
    with pytest.raises(SearchError, match=r"'collapse' cannot be paged through; ask for a depth of at most 2"):
        await fetch(es, articles, body, query="q", depth=5, source=TextSource(fields=("body",)), page=2)


async def test_from_and_size_of_the_caller_do_not_matter(es: AsyncElasticsearch, articles: str) -> None:
    assert len((await top(es, articles, {**ALL, "from": 3, "size": 1}, fields=("body",))).items) == 5


async def test_no_hits_and_one_hit(es: AsyncElasticsearch, articles: str) -> None:
    assert (await top(es, articles, {"query": {"match": {"body": "absent"}}}, fields=("body",))).items == ()
    assert len((await top(es, articles, {"query": {"match": {"body": "cats"}}}, fields=("body",))).items) == 1


async def test_patterns_aliases_and_documents_that_stand_twice(es: AsyncElasticsearch, articles: str) -> None:
    twin = f"{articles}-twin"
    await fill(es, twin)
    await es.indices.put_alias(index=f"{articles}*", name=f"{articles}-alias")
    try:
        for name in (f"{articles}*", f"{articles}-alias", f"{articles},{twin}"):
            found = await top(es, name, fields=("body",))
            assert sorted(item.id for item in found.items) == sorted([*ARTICLES, *ARTICLES])
            assert {hit["_index"] for hit in found.hits} == {articles, twin}
    finally:
        await es.indices.delete(index=twin)


async def test_a_wrong_field_names_those_that_exist(es: AsyncElasticsearch, articles: str) -> None:
    for body in (ALL, {"query": {"match": {"body": "absent"}}}):
        with pytest.raises(SearchError) as caught:
            await top(es, articles, body, fields=("title", "bdoy"))
        assert f"index '{articles}' has no field 'bdoy' (did you mean 'body'?)" in str(caught.value)
        assert "its text fields: body, body.english, comments.text, summary, title" in str(caught.value)


async def test_a_field_that_no_hit_has_is_no_mistake(es: AsyncElasticsearch, articles: str) -> None:
    found = await top(es, articles, {"query": {"ids": {"values": ["cat"]}}}, fields=("tags",))
    assert found.items[0].note == "no text in field tags"


async def test_an_index_that_is_not_there_or_closed(es: AsyncElasticsearch, articles: str) -> None:
    with pytest.raises(SearchError, match=r"index 'no-such-index' does not exist"):
        await top(es, "no-such-index", fields=("body",))
    await es.indices.close(index=articles)
    with pytest.raises(SearchError, match=rf"index '{articles}' is closed; open it with: POST /{articles}/_open"):
        await top(es, articles, fields=("body",))


async def test_a_malformed_body_says_what_the_server_says(es: AsyncElasticsearch, articles: str) -> None:
    with pytest.raises(SearchError, match=r"does not accept the request on index .*unknown query \[mtch\]") as caught:
        await top(es, articles, {"query": {"mtch": {"body": "x"}}}, fields=("body",))
    assert caught.value.status == 400
