"""Whose rights a search has: the headers that carry them, and what tells them apart from others'."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from es_reasonrank.service.proxy.upstream import Headers, Incoming

_RIGHTS = frozenset(
    {"authorization", "cookie", "es-client-authentication", "es-secondary-authorization", "es-security-runas-user"}
)
_TOLD = frozenset({"x-opaque-id", "traceparent", "tracestate", "x-forwarded-for", "forwarded"})


@dataclass(frozen=True)
class Rights:
    """The rights of a request. What is fetched on its behalf is fetched with them."""

    name: str
    """A digest of them: what is remembered is remembered for them alone."""
    headers: Headers
    """What further requests carry."""

    @classmethod
    def of(cls, incoming: Incoming) -> Rights:
        """The rights of a request."""
        rights = [(name, value) for name, value in incoming.headers if name.lower() in _RIGHTS]
        told = [(name, value) for name, value in incoming.headers if name.lower() in _TOLD]
        digest = hashlib.sha256("\n".join(f"{name.lower()}:{value}" for name, value in rights).encode())
        return cls(digest.hexdigest(), [*rights, *told])
