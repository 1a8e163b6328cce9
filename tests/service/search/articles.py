"""An index with every kind of field that a search response may show, and random searches of it."""

from __future__ import annotations

import random
from typing import Any

INDEX = "articles"
COUNT = 300
MAPPINGS: dict[str, Any] = {
    "dynamic": False,
    "properties": {
        "title": {"type": "text"},
        "body": {"type": "text"},
        "tag": {"type": "keyword"},
        "year": {"type": "integer"},
        "price": {"type": "double"},
        "when": {"type": "date"},
        "stored": {"type": "text", "store": True},
        "comments": {"type": "nested", "properties": {"by": {"type": "keyword"}, "text": {"type": "text"}}},
    },
}
_TEXT = """river stone light window garden machine letter winter signal bridge
paper engine forest music water city history copper glass market"""
WORDS = _TEXT.split()


def documents(seed: int = 11) -> list[dict[str, Any]]:
    """Articles of random words. Numbers have spellings that a careless reader would change."""
    chance = random.Random(seed)
    return [_document(chance, number) for number in range(COUNT)]


def _document(chance: random.Random, number: int) -> dict[str, Any]:
    body = " ".join(chance.choices(WORDS, k=chance.randint(5, 40)))
    comments = [
        {"by": chance.choice(WORDS), "text": " ".join(chance.choices(WORDS, k=6))} for _ in range(chance.randint(0, 3))
    ]
    return {
        "title": " ".join(chance.sample(WORDS, 3)),
        "body": body + ' "quoted" \\ é \u2028 {"hits":[1]}',
        "tag": chance.choice(WORDS[:5]),
        "year": chance.randint(1990, 2025),
        "price": chance.choice([1.0, 1e-7, 12345678901234567.0, 0.1]),
        "when": f"20{chance.randint(10, 25)}-01-02T03:04:05Z",
        "stored": chance.choice(WORDS),
        "odd": chance.choice([1.10, 100000000000000000000, True, None, [], {}, "1.0", {"a.b": {"_score": 1}}]),
        "comments": comments,
        "number": number,
    }


def searches(count: int, seed: int) -> list[tuple[dict[str, str], dict[str, Any]]]:
    """Random searches: parameters and body. All of them are right, whatever they combine."""
    chance = random.Random(seed)
    return [_search(chance) for _ in range(count)]


def _search(chance: random.Random) -> tuple[dict[str, str], dict[str, Any]]:
    body: dict[str, Any] = {"query": _query(chance)}
    parameters: dict[str, str] = {}
    for option in chance.sample(_OPTIONS, chance.randint(0, 4)):
        body |= chance.choice(option)
    for option in chance.sample(_PARAMETERS, chance.choice([0, 0, 1, 2])):
        parameters |= chance.choice(option)
    if "filter_path" in parameters:
        parameters.pop("pretty", None)
    return parameters, body


def _query(chance: random.Random) -> dict[str, Any]:
    text = " ".join(chance.sample(WORDS, chance.randint(1, 4)))
    return chance.choice(
        [
            {"match": {"body": text}},
            {"match": {"body": {"query": text, "operator": "or"}}},
            {"multi_match": {"query": text, "fields": ["title^2", "body"]}},
            {"bool": {"must": [{"match": {"body": text}}], "filter": [{"range": {"year": {"gte": 2000}}}]}},
            {"bool": {"should": [{"match": {"title": text}}, {"match": {"body": text}}]}},
            {"query_string": {"query": f"body:({text})"}},
            {"function_score": {"query": {"match": {"body": text}}, "weight": 2.5}},
            {"dis_max": {"queries": [{"match": {"title": text}}, {"match": {"body": text}}]}},
        ]
    )


_OPTIONS: list[list[dict[str, Any]]] = [
    [{"size": 0}, {"size": 1}, {"size": 3}, {"size": 25}, {"size": 120}],
    [{"from": 0}, {"from": 2}, {"from": 9}, {"from": 95, "size": 10}, {"from": 150}, {"from": 400}],
    [{"_source": False}, {"_source": ["title", "comments.*"]}, {"_source": {"excludes": ["body"]}}, {"_source": "tag"}],
    [
        {"fields": ["tag"]},
        {"fields": ["title", "year"]},
        {"fields": [{"field": "when", "format": "epoch_millis"}]},
        {"fields": ["co*"]},
        {"fields": ["t*"]},
    ],
    [{"docvalue_fields": ["year"]}, {"docvalue_fields": [{"field": "when", "format": "yyyy"}]}],
    [{"stored_fields": ["stored"]}, {"stored_fields": "_none_", "_source": False}, {"stored_fields": []}],
    [{"highlight": {"fields": {"body": {}}}}, {"highlight": {"fields": {"*": {"number_of_fragments": 1}}}}],
    [
        {"aggs": {"tags": {"terms": {"field": "tag"}, "aggs": {"p": {"avg": {"field": "price"}}}}}},
        {"aggs": {"top": {"top_hits": {"size": 2}}}},
    ],
    [{"collapse": {"field": "tag"}}, {"collapse": {"field": "year", "inner_hits": {"name": "same", "size": 2}}}],
    [{"sort": ["year"]}, {"sort": ["_score"]}, {"sort": [{"year": "desc"}, "_score"]}, {"sort": [{"_score": "asc"}]}],
    [{"track_scores": True}, {"track_total_hits": 5}, {"track_total_hits": False}, {"track_total_hits": True}],
    [{"explain": True}, {"version": True, "seq_no_primary_term": True}],
    [{"min_score": 1.5}, {"post_filter": {"term": {"tag": "river"}}}, {"timeout": "5s"}],
    [{"suggest": {"s": {"text": "rivr", "term": {"field": "body"}}}}],
    [{"rescore": {"window_size": 20, "query": {"rescore_query": {"match": {"title": "river"}}, "query_weight": 0.5}}}],
    [{"indices_boost": [{INDEX: 1.4}]}, {"stats": ["group"]}],
    [{"search_after": [2001], "sort": ["year"]}],
    [{"runtime_mappings": {"day": {"type": "keyword"}}}],
]
_PARAMETERS: list[list[dict[str, str]]] = [
    [{"pretty": "true"}, {"pretty": ""}],
    [
        {"filter_path": "hits.hits._id,hits.total"},
        {"filter_path": "hits.hits._source.title,took"},
        {"filter_path": "-hits.hits._source,-_shards"},
        {"filter_path": "hits.h*._sc*"},
        {"filter_path": "**._id"},
        {"filter_path": "aggregations"},
        {"filter_path": "hits,-hits.hits.fields"},
        {"filter_path": "nothing"},
    ],
    [{"typed_keys": "true"}, {"rest_total_hits_as_int": "true"}],
    [{"size": "4"}, {"from": "3"}, {"_source_includes": "title,year"}, {"_source": "false"}],
    [{"preference": "_local"}, {"routing": "x"}, {"ignore_unavailable": "true"}],
    [{"track_scores": "true"}, {"explain": "true"}, {"docvalue_fields": "year"}, {"stored_fields": "stored"}],
    [{"sort": "year:asc"}, {"sort": "_score"}],
]
