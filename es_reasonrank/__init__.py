"""es-reasonrank: reorders Elasticsearch's top hits with listwise reasoning rerankers.

>>> from es_reasonrank import Reranker, Status
>>> from es_reasonrank.demo import example  # replays a small model; leave it out, and the profile's own is loaded
>>> with Reranker.load("tfrank", engine=example.engine()) as reranker:
...     ranking = reranker.rank("why is the sky blue", example.DOCUMENTS)

A `Ranking` is frozen: the order, best first, with a score for each place, and a trace of what happened.

>>> [candidate.text for candidate in ranking][0]
'Air scatters blue light more than red.'
>>> ranking.order, len(ranking)
((2, 0, 1), 3)
>>> [round(score, 3) for score in ranking.scores]
[0.404, 0.39, 0.386]
>>> ranking.trace.status is Status.OK, dict(ranking.trace.outcomes), ranking.trace.prompt_tokens
(True, {<Outcome.OK: 'ok'>: 3}, 262)
>>> ranking.trace.windows[0].shown, ranking.trace.windows[0].reply
((0,), '0')
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from es_reasonrank.errors import ReasonRankError
    from es_reasonrank.rerank.profile import Profile, load_profile
    from es_reasonrank.rerank.reranker import Reranker
    from es_reasonrank.types import Candidate, Outcome, Ranking, Status, Trace, Window

__version__ = "0.1.0"

__all__ = [
    "Candidate",
    "Outcome",
    "Profile",
    "Ranking",
    "ReasonRankError",
    "Reranker",
    "Status",
    "Trace",
    "Window",
    "__version__",
    "load_profile",
]

_HOMES = {
    "Profile": "rerank.profile",
    "Reranker": "rerank.reranker",
    "ReasonRankError": "errors",
    "load_profile": "rerank.profile",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'types')}"), name)
