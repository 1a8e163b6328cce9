"""Documents with the same id keep their order in bulk requests; a refusal is the document's fault or ends the load."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from elasticsearch.helpers import BULK_FLUSH
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.elastic.bulk import Item, actions, refusal
from es_reasonrank.elastic.ledger import Taken
from es_reasonrank.elastic.readers import Passage, Place
from es_reasonrank.errors import ElasticError


async def requests(ids: list[str], size: int) -> list[list[dict[str, Any]]]:
    """The requests of `size` actions that the helper would send: it asks for one more before it sends a full one."""
    queue: asyncio.Queue[Item | None] = asyncio.Queue()
    for number, name in enumerate(ids):
        passage = Passage(Place("docs.jsonl", number), name, {"n": number}, "")
        queue.put_nowait((passage, Taken(passage)))
    queue.put_nowait(None)
    sent: dict[str, Taken] = {}
    done: list[list[dict[str, Any]]] = []
    open_request: list[dict[str, Any]] = []
    async for action in actions(queue, sent, size):
        if open_request and (action is BULK_FLUSH or len(open_request) == size):
            for earlier in open_request:
                del sent[earlier["_id"]]
            done.append(open_request)
            open_request = []
        if action is not BULK_FLUSH:
            open_request.append(action)
    return [*done, open_request] if open_request else done


@given(ids=st.lists(st.sampled_from("abcdefghij"), max_size=60), size=st.integers(1, 8))
def test_every_document_is_sent_once_in_the_order_of_its_id(ids: list[str], size: int) -> None:
    sent = asyncio.run(requests(ids, size))
    for request in sent:
        assert len({action["_id"] for action in request}) == len(request)
    numbers: dict[str, list[int]] = {}
    for action in (action for request in sent for action in request):
        numbers.setdefault(action["_id"], []).append(json.loads(action["_source"])["n"])
    assert numbers == {name: [n for n, other in enumerate(ids) if other == name] for name in ids}


def test_documents_that_come_in_groups_of_the_same_id_still_share_requests() -> None:
    ids = [f"d{number // 4}" for number in range(400)]
    assert len(asyncio.run(requests(ids, 50))) < 20


def error(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "reason": f"{kind} happened", **more}


def test_a_refused_document_says_why_and_what_is_at_the_root_of_it() -> None:
    nested = error("parsing", caused_by=error("date", caused_by=error("format")))
    assert refusal({"status": 400, "error": nested}) == "parsing happened: format happened"
    assert refusal({"status": 400, "error": {"type": "parsing", "reason": None}}) == "parsing"


@pytest.mark.parametrize(
    ("status", "kind"), [(429, "overload"), (403, "block"), (503, "shards"), (400, "index_closed_exception")]
)
def test_what_is_not_the_documents_fault_ends_the_load(status: int, kind: str) -> None:
    with pytest.raises(ElasticError, match=rf"stopped taking documents \({status}: {kind} happened\)") as raised:
        refusal({"status": status, "error": error(kind)})
    assert raised.value.status == status
