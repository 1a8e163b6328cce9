"""Which fields hold a hit's text, where neither the search nor the settings say so: asked of the server, and kept."""

from __future__ import annotations

import json

from cachetools import TTLCache

from es_reasonrank.elastic.fields import likely_text_fields
from es_reasonrank.elastic.passages import TextSource
from es_reasonrank.service.proxy.asked import Asked
from es_reasonrank.service.proxy.rights import Rights
from es_reasonrank.service.proxy.upstream import Upstream

_KEPT = 1_000
_SECONDS = 60.0


class Texts:
    """Knows the text fields of indices, for each caller what his rights let him see.

    Args:
        upstream: the server.
        fields: the settings' own; where they are set, nothing is asked.
    """

    def __init__(self, upstream: Upstream, fields: tuple[str, ...]) -> None:
        self._upstream = upstream
        self._fields = fields
        self._known: TTLCache[tuple[str, str], tuple[str, ...]] = TTLCache(_KEPT, _SECONDS)

    async def source(self, asked: Asked, target: str, rights: Rights) -> TextSource | None:
        """Where a hit's text comes from; None where nobody can tell.

        Args:
            target: what stands in the path for the indices, as on the wire.
        """
        source = asked.source
        if source.names:
            return source
        fields = self._fields or await self._looked_up(target, rights)
        return source.model_copy(update={"fields": fields}) if fields else None

    async def _looked_up(self, target: str, rights: Rights) -> tuple[str, ...]:
        key = (rights.name, target)
        known = self._known.get(key)
        if known is not None:
            return known
        path = f"/{target}/_field_caps" if target else "/_field_caps"
        answer = await self._upstream.fetch("GET", f"{path}?fields=*", rights.headers, None)
        if answer.status != 200:
            return ()
        types = {name: next(iter(kinds)) for name, kinds in json.loads(answer.body)["fields"].items()}
        found = likely_text_fields({name: kind for name, kind in types.items() if not name.startswith("_")})
        self._known[key] = found
        return found
