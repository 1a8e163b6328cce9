"""A real Elasticsearch as a process on this machine, from Maven Central, without a container engine.

    server = up()       # builds it once, starts it, waits until it answers; the one that runs, where one does
    server.url
    down()              # stops it; its data stay

One server runs on a data folder. Indices of Elasticsearch 8 and 9 lie apart in it, so that neither version can open,
and upgrade, what the other wrote.
"""

from __future__ import annotations

from es_reasonrank.elastic.embedded.build import check_build_tools
from es_reasonrank.elastic.embedded.lifecycle import down, up
from es_reasonrank.elastic.embedded.state import Server, status

__all__ = ["Server", "check_build_tools", "down", "status", "up"]
