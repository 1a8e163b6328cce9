"""Every route that Elasticsearch publishes of itself, from its own specification."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

from tests.service.servers.maven import artifact


@dataclass(frozen=True)
class Route:
    """One method on one path of one API."""

    api: str
    method: str
    path: str
    """With its parts in braces."""
    has_body: bool

    def filled(self, part: Callable[[str], str]) -> str:
        """The path with a value for each part."""
        return re.sub(r"\{(\w+)\}", lambda found: part(found[1]), self.path)


def routes(version: str) -> list[Route]:
    """All of them; the test is skipped where the specification cannot be got."""
    found = []
    with zipfile.ZipFile(artifact(f"org.elasticsearch:rest-api-spec:{version}")) as jar:
        for name in sorted(jar.namelist()):
            if name.startswith("rest-api-spec/api/") and name.endswith(".json") and "/_common" not in name:
                ((api, spec),) = json.loads(jar.read(name)).items()
                for path in spec["url"]["paths"]:
                    found += [Route(api, method, path["path"], "body" in spec) for method in path["methods"]]
    return found
