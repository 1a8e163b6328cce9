"""The published logs of two rerankers on TREC DL19, read in place and turned into recordings and templates."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from es_reasonrank.engines.base import Completion, Finish, Message, Request
from es_reasonrank.engines.replay import letters_key
from es_reasonrank.evaluation.runs import read_queries, read_run, read_texts
from es_reasonrank.types import Candidate

SHARED = Path(__file__).parents[3] / "shared" / "data"
DL19 = SHARED / "trec_dl19"
REPLIES = SHARED / "listwise_replies"
RANKVICUNA, UNTRAINED = "rankvicuna", "vicuna-13b-untrained"

_TURN = re.compile(r" ?(USER|ASSISTANT): ?")


class Logged(NamedTuple):
    """One window as it was logged: the chat that was rendered into the prompt, and the reply."""

    messages: tuple[Message, ...]
    reply: str


def logged(name: str) -> list[Logged]:
    """The windows of a log in the order they were asked. The file is a sequence of JSON objects between commas."""
    text = (REPLIES / f"{name}_dl19.json").read_text(encoding="utf-8")
    return [Logged(_messages(row["prompt"]), row["response"]) for row in _objects(text)]


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder, place = json.JSONDecoder(), 0
    while (match := re.compile(r"[\s,\[\]]*").match(text, place)) and match.end() < len(text):
        row, place = decoder.raw_decode(text, match.end())
        yield row


def _messages(prompt: str) -> tuple[Message, ...]:
    """The chat behind a prompt in Vicuna's form: SYSTEM USER: … ASSISTANT: …</s>USER: … ASSISTANT:"""
    system, *parts = _TURN.split(prompt)
    turns: list[Message] = []
    for speaker, content in zip(parts[::2], parts[1::2], strict=True):
        role = "user" if speaker == "USER" else "assistant"
        if content or role == "user":
            turns.append({"role": role, "content": content.removesuffix("</s>")})
    return ({"role": "system", "content": system}, *turns)


def write_recording(name: str, path: Path) -> Path:
    """A log as a recording that the replay engine reads."""
    rows: list[dict[str, Any]] = [{"recording": 1, "model": name, "context": 4096}]
    for window in logged(name):
        key = letters_key(Request(window.messages, max_tokens=1))
        completion = Completion(window.reply, Finish.STOP)
        rows.append({"reply": key, "text": completion.text, "finish": completion.finish})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_template(name: str, path: Path) -> Path:
    """The prompt of a log as a template in rank_llm's format: its first window without query and passages."""
    first = logged(name)[0].messages
    system, user = first[0]["content"], first[1]["content"]
    values: dict[str, Any] = {
        "system_message": system,
        "output_validation_regex": 'r"^\\[\\d+\\]( > \\[\\d+\\])*$"',
        "output_extraction_regex": 'r"\\[(\\d+)\\]"',
    }
    if len(first) == 2:
        prefix, rest = user.split("[1] ", 1)
        suffix = rest[rest.rindex("\nSearch Query:") + 1 :]
        values |= {"method": "singleturn_listwise", "prefix": _slots(prefix), "suffix": _slots(suffix)}
        values["body"] = "[{rank}] {candidate}\n"
    else:
        values |= {"method": "multiturn_listwise", "prefix_user": _slots(user), "prefix_assistant": first[2]["content"]}
        values |= {"body_user": "[{rank}] {candidate}", "body_assistant": first[4]["content"].replace("1", "{rank}")}
        values["suffix_user"] = _slots(first[-1]["content"])
    path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    return path


def _slots(text: str) -> str:
    """The frame of a prompt: the first query and the number of passages become placeholders."""
    query = re.search(r"[Qq]uery: (.*?)\.? ?(?:\n|$)", text)
    assert query
    return text.replace(query.group(1), "{query}").replace(" 20 ", " {num} ")


def candidates() -> dict[str, tuple[str, list[Candidate]]]:
    """Each query's text and BM25's top 100, in its order."""
    run = read_run(DL19 / "runs" / "BM25.trec")
    queries = read_queries(DL19 / "queries.jsonl")
    texts = read_texts(DL19 / "corpus.jsonl", {hit.id for hits in run.values() for hit in hits})
    return {
        query: (queries[query], [Candidate(hit.id, texts[hit.id].text, texts[hit.id].title, hit.score) for hit in hits])
        for query, hits in run.items()
    }
