"""A real Elasticsearch as a process on this machine, from Maven Central, without a container engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Server:
    """A running embedded server."""

    url: str
    version: str
    pid: int
    data_dir: Path
    log: Path


def status(data_dir: Path | None = None) -> Server | None:
    """The server that runs on `data_dir`, or None."""
    raise NotImplementedError
