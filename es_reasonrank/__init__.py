"""es-reasonrank: reorders Elasticsearch's top hits with listwise reasoning rerankers.

from es_reasonrank import Reranker

with Reranker.load("encoder") as reranker:
    ranking = reranker.rank("why is the sky blue", ["Cats sleep a lot.", "Air scatters blue light more than red."])
ranking.order, ranking.scores, ranking.trace.status
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
