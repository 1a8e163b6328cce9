"""The search of the page as a request that anyone can send to this service: for a shell, and for Python."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pprint import pformat
from typing import Any
from urllib.parse import quote

from es_reasonrank.service.playground.protocol import Copies

_VARIABLE = "ES_AUTHORIZATION"
"""Where a copied request reads its login from: no secret is ever copied."""


def copies(origin: str, index: str, body: Mapping[str, Any], *, login: bool) -> Copies:
    """Both requests.

    Args:
        origin: the service's address as the page knows it.
        login: whether the search needs an Authorization header.
    """
    return Copies(curl=_curl(origin, index, body, login), python=_python(origin, index, body, login))


def _curl(origin: str, index: str, body: Mapping[str, Any], login: bool) -> str:
    address = f"{origin}/{quote(index, safe=',*')}/_search"
    lines = [f"curl {shlex.quote(address)}", "-H 'Content-Type: application/json'"]
    if login:
        lines.append(f'-H "Authorization: ${_VARIABLE}"')
    lines.append(f"-d {shlex.quote(json.dumps(body, indent=2, ensure_ascii=False))}")
    return " \\\n  ".join(lines)


def _python(origin: str, index: str, body: Mapping[str, Any], login: bool) -> str:
    headers = f', headers={{"Authorization": os.environ["{_VARIABLE}"]}}' if login else ""
    lines = [
        *(["import os", ""] if login else []),
        "from elasticsearch import Elasticsearch",
        "",
        f"client = Elasticsearch({origin!r}{headers})",
        f"body = {pformat(dict(body), width=100, sort_dicts=False)}",
        f"response = client.search(index={index!r}, body=body)",
        'for hit in response["hits"]["hits"]:',
        '    print(hit["_score"], hit["_id"])',
    ]
    return "\n".join(lines)
