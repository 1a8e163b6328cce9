"""Text analysis on the embedded server: what Elasticsearch documents for each analyzer, filter and tokenizer."""

from __future__ import annotations

from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch, BadRequestError

LANGUAGES = (
    "arabic armenian basque bengali brazilian bulgarian catalan cjk czech danish dutch english estonian finnish french "
    "galician german greek hindi hungarian indonesian irish italian latvian lithuanian norwegian persian portuguese "
    "romanian russian serbian sorani spanish swedish thai turkish"
)


async def tokens(es: AsyncElasticsearch, text: str, **how: Any) -> list[str]:
    answer = await es.indices.analyze(text=text, **how)
    return [token["token"] for token in answer["tokens"]]


async def filtered(es: AsyncElasticsearch, text: str, **settings: Any) -> list[str]:
    return await tokens(es, text, tokenizer="whitespace", filter=[settings])


@pytest.mark.parametrize(
    ("analyzer", "text", "expected"),
    [
        ("english", "The QUICK brown foxes' jumped over", ["quick", "brown", "fox", "jump", "over"]),
        ("german", "Die Häuser am Fluß", ["haus", "fluss"]),
        ("french", "l'avion des rivières", ["avion", "rivier"]),
        ("spanish", "las casas", ["cas"]),
        ("russian", "о книгах", ["книг"]),
        ("cjk", "東京都", ["東京", "京都"]),
        ("standard", "A Quick-Fox", ["a", "quick", "fox"]),
    ],
)
async def test_analyzers(es: AsyncElasticsearch, analyzer: str, text: str, expected: list[str]) -> None:
    assert await tokens(es, text, analyzer=analyzer) == expected


async def test_every_language_has_an_analyzer(es: AsyncElasticsearch) -> None:
    assert [name for name in LANGUAGES.split() if await tokens(es, "2026", analyzer=name) != ["2026"]] == []


@pytest.mark.parametrize(
    ("settings", "text", "expected"),
    [
        ({"type": "lowercase"}, "ÀB", ["àb"]),
        ({"type": "lowercase", "language": "turkish"}, "ISI", ["ısı"]),
        ({"type": "asciifolding", "preserve_original": True}, "açaí", ["acai", "açaí"]),
        ({"type": "stemmer", "language": "light_english"}, "houses", ["house"]),
        ({"type": "stemmer", "language": "light_german"}, "häusern", ["haus"]),
        ({"type": "stemmer", "language": "portuguese"}, "meninas", ["menin"]),
        ({"type": "stemmer", "language": "czech"}, "městech", ["měst"]),
        ({"type": "snowball", "language": "French"}, "continuellement", ["continuel"]),
        ({"type": "stop", "stopwords": ["und"]}, "du und ich", ["du", "ich"]),
        ({"type": "unique"}, "a b a", ["a", "b"]),
        ({"type": "keep", "keep_words": ["Ä"], "keep_words_case": True}, "ä b", ["ä"]),
        ({"type": "length", "min": 2, "max": 3}, "a bb cccc", ["bb"]),
        ({"type": "limit", "max_token_count": 2}, "a b c", ["a", "b"]),
        ({"type": "truncate", "length": 2}, "abc", ["ab"]),
        ({"type": "reverse"}, "abc", ["cba"]),
        ({"type": "edge_ngram", "min_gram": 1, "max_gram": 3}, "abcd", ["a", "ab", "abc"]),
        ({"type": "ngram", "min_gram": 2, "max_gram": 3}, "abc", ["ab", "abc", "bc"]),
        ({"type": "elision", "articles": ["l"], "articles_case": True}, "L'avion", ["avion"]),
        ({"type": "pattern_replace", "pattern": "(\\d)", "replacement": "<$1>", "all": False}, "1a2", ["<1>a2"]),
        ({"type": "pattern_capture", "patterns": ["(\\d+)"]}, "ab12", ["ab12", "12"]),
        ({"type": "word_delimiter_graph"}, "PowerShot500-X's", ["Power", "Shot", "500", "X"]),
        (
            {"type": "word_delimiter_graph", "catenate_words": True, "preserve_original": True},
            "wi-fi",
            ["wi-fi", "wifi", "wi", "fi"],
        ),
        ({"type": "word_delimiter_graph", "protected_words": ["wi-fi"]}, "wi-fi x-y", ["wi-fi", "x", "y"]),
        ({"type": "word_delimiter", "type_table": ["# => ALPHA"]}, "c#-d", ["c#", "d"]),
        ({"type": "stemmer_override", "rules": ["running, ran => run"]}, "ran running runs", ["run", "run", "runs"]),
        ({"type": "common_grams", "common_words": ["the"]}, "the fox", ["the", "the_fox", "fox"]),
        (
            {"type": "dictionary_decompounder", "word_list": ["donau", "schiff"]},
            "donauschiff",
            ["donauschiff", "donau", "schiff"],
        ),
        ({"type": "fingerprint"}, "b a b", ["a b"]),
        ({"type": "cjk_bigram", "ignored_scripts": ["hiragana"], "output_unigrams": False}, "東京", ["東京"]),
        ({"type": "keep_types", "types": ["word"], "mode": "exclude"}, "a b", []),
    ],
)
async def test_token_filters(es: AsyncElasticsearch, settings: dict[str, Any], text: str, expected: list[str]) -> None:
    assert await filtered(es, text, **settings) == expected


@pytest.mark.parametrize(
    ("tokenizer", "text", "expected"),
    [
        ({"type": "whitespace", "max_token_length": 2}, "abc d", ["ab", "c", "d"]),
        ("letter", "a1b", ["a", "b"]),
        ("keyword", "a b", ["a b"]),
        ("uax_url_email", "me@x.org", ["me@x.org"]),
        ({"type": "edge_ngram", "max_gram": 3, "token_chars": ["letter"]}, "ab1cde", ["a", "ab", "c", "cd", "cde"]),
        (
            {"type": "ngram", "min_gram": 2, "token_chars": ["digit", "custom"], "custom_token_chars": "-"},
            "1-2 x",
            ["1-", "-2"],
        ),
        ({"type": "path_hierarchy", "delimiter": "-", "replacement": "/"}, "a-b", ["a", "a/b"]),
        ({"type": "path_hierarchy", "reverse": True}, "a/b", ["a/b", "b"]),
        ({"type": "pattern", "pattern": ","}, "a b,c", ["a b", "c"]),
        ({"type": "simple_pattern", "pattern": "[0-9]+"}, "a12b3", ["12", "3"]),
        ({"type": "simple_pattern_split", "pattern": "_"}, "a_b", ["a", "b"]),
        ({"type": "char_group", "tokenize_on_chars": ["whitespace", "-"]}, "a-b c", ["a", "b", "c"]),
    ],
)
async def test_tokenizers(es: AsyncElasticsearch, tokenizer: Any, text: str, expected: list[str]) -> None:
    assert await tokens(es, text, tokenizer=tokenizer) == expected


@pytest.mark.parametrize(
    ("settings", "text", "expected"),
    [
        ("html_strip", "<b>a&amp;b</b>", "a&b"),
        ({"type": "html_strip", "escaped_tags": ["b"]}, "<b>a</b>", "<b>a</b>"),
        ({"type": "mapping", "mappings": ["٠ => 0", ":) => happy"]}, "٠ :)", "0 happy"),
        ({"type": "pattern_replace", "pattern": "(\\d)-", "replacement": "$1_"}, "1-2", "1_2"),
    ],
)
async def test_char_filters(es: AsyncElasticsearch, settings: Any, text: str, expected: str) -> None:
    assert await tokens(es, text, tokenizer="keyword", char_filter=[settings]) == [expected]


async def test_marked_words_are_not_stemmed(es: AsyncElasticsearch) -> None:
    for marker in ({"keywords": ["foxes"]}, {"keywords_pattern": "f.*"}):
        filters = [{"type": "keyword_marker", **marker}, "porter_stem"]
        assert await tokens(es, "foxes dogs", tokenizer="whitespace", filter=filters) == ["foxes", "dog"]


async def test_a_search_finds_synonyms_of_several_words(es: AsyncElasticsearch, index_name: str) -> None:
    synonyms = {"type": "synonym_graph", "synonyms": ["ny, new york", "car => automobile"]}
    analyzers = {"with_synonyms": {"tokenizer": "standard", "filter": ["lowercase", "synonyms", "porter_stem"]}}
    body = {"type": "text", "analyzer": "english", "search_analyzer": "with_synonyms"}
    await es.indices.create(
        index=index_name,
        settings={"analysis": {"filter": {"synonyms": synonyms}, "analyzer": analyzers}},
        mappings={"properties": {"body": body}},
    )
    await es.index(index=index_name, id="1", document={"body": "Automobiles in New York"}, refresh=True)
    for query, count in {"NY": 1, "new york car": 1, "york ny": 1, "cars": 0}.items():
        found = await es.search(index=index_name, query={"match": {"body": {"query": query, "operator": "and"}}})
        assert (query, found["hits"]["total"]["value"]) == (query, count)


async def test_normalizers_and_wildcards_use_the_filters(es: AsyncElasticsearch, index_name: str) -> None:
    folded = {"type": "custom", "filter": ["lowercase", "asciifolding"]}
    await es.indices.create(
        index=index_name,
        settings={"analysis": {"normalizer": {"folded": folded}}},
        mappings={"properties": {"tag": {"type": "keyword", "normalizer": "folded"}}},
    )
    await es.index(index=index_name, document={"tag": "Café"}, refresh=True)
    found = await es.search(index=index_name, query={"wildcard": {"tag": {"value": "CAF*"}}})
    assert found["hits"]["total"]["value"] == 1


async def test_an_analyzer_takes_stopwords_and_words_not_to_stem(es: AsyncElasticsearch, index_name: str) -> None:
    mine = {"type": "english", "stopwords": ["foxes"], "stem_exclusion": ["jumping"]}
    await es.indices.create(index=index_name, settings={"analysis": {"analyzer": {"mine": mine}}})
    assert await tokens(es, "the foxes jumping dogs", index=index_name, analyzer="mine") == ["the", "jumping", "dog"]


@pytest.mark.parametrize(
    ("part", "settings", "reason"),
    [
        ("filter", {"type": "stemmer", "language": "klingon"}, "Klingon"),
        ("filter", {"type": "ngram", "min_gram": 1, "max_gram": 5}, r"index\.max_ngram_diff"),
        ("tokenizer", {"type": "edge_ngram", "min_gram": 3, "max_gram": 1}, "Gram"),
        ("filter", {"type": "cjk_bigram", "ignored_scripts": ["latin"]}, "ignored_scripts"),
        ("filter", {"type": "word_delimiter", "type_table": ["# => X"]}, "type_table"),
        ("filter", {"type": "lowercase", "language": "klingon"}, "klingon"),
        ("filter", {"type": "no_such"}, "no_such"),
    ],
)
async def test_wrong_settings_fail_when_the_index_is_created(
    es: AsyncElasticsearch, index_name: str, part: str, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadRequestError, match=reason):
        await es.indices.create(index=index_name, settings={"analysis": {part: {"wrong": settings}}})
