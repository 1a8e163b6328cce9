"""What langchain-elasticsearch's retriever gets, with and without reranking. Prints it.

python langchain_retriever.py URL INDEX
"""

from __future__ import annotations

import json
import sys
from typing import Any

from langchain_elasticsearch import ElasticsearchRetriever

RERANK = {"fields": ["text"], "profile": "identity"}


def body(query: str) -> dict[str, Any]:
    """A search as langchain's users write it."""
    return {"query": {"match": {"text": query}}, "size": 3}


def reranked(query: str) -> dict[str, Any]:
    """The same, reranked."""
    return {**body(query), "ext": {"rerank": {"query": query, **RERANK}}}


if __name__ == "__main__":
    address, name = sys.argv[1:]
    done = {}
    for key, function in (("found", body), ("reranked", reranked)):
        retriever = ElasticsearchRetriever(es_url=address, index_name=name, body_func=function, content_field="text")
        found = retriever.invoke("sheep")
        done[key] = [document.metadata["_id"] for document in found]
        assert all(document.page_content for document in found)
    sys.stdout.write(json.dumps(done))
