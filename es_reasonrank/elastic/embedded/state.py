"""What is known of the server on a data folder, from a file in it and from the processes that run.

data folder/
  server.json   what the last start left
  lock          held by whoever starts or stops the server
  8/  9/        indices and logs of Elasticsearch 8 and 9
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from es_reasonrank import paths
from es_reasonrank.elastic.embedded.processes import runs
from es_reasonrank.elastic.embedded.releases import major
from es_reasonrank.files import replacing
from es_reasonrank.validation import Checked


@dataclass(frozen=True)
class Server:
    """A running embedded server."""

    url: str
    version: str
    pid: int
    data_dir: Path
    log: Path


class State(Checked):
    """What the last start left in the data folder. It outlives the server: the next start takes up version and port."""

    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    port: int
    """0 until the server has chosen one."""
    pid: int
    ready: bool
    """Whether the server answered; without it, it may be starting, or have been abandoned while it was."""


def status(data_dir: Path | None = None) -> Server | None:
    """The server that runs on `data_dir`, or None. Asks no server: one that runs may still be too busy to answer."""
    folder = folder_of(data_dir)
    state = read(folder)
    if state is None or not state.ready or not runs(state.pid, mark(folder, state.version)):
        return None
    return server(folder, state)


def folder_of(data_dir: Path | None) -> Path:
    """The data folder under one name, whatever way it was written."""
    return (data_dir or paths.data_dir() / "elasticsearch").expanduser().resolve()


def home(folder: Path, version: str) -> Path:
    """Where a version keeps its indices and logs."""
    return folder / str(major(version))


def log_file(folder: Path, version: str) -> Path:
    """Where a version writes its log."""
    return home(folder, version) / "logs" / "elasticsearch.log"


def mark(folder: Path, version: str) -> str:
    """The argument that tells the server of this folder from any other process that may have got its number."""
    return f"path.home={home(folder, version)}"


def server(folder: Path, state: State) -> Server:
    """A server that runs, as its users know it."""
    return Server(
        url=f"http://127.0.0.1:{state.port}",
        version=state.version,
        pid=state.pid,
        data_dir=folder,
        log=log_file(folder, state.version),
    )


def read(folder: Path) -> State | None:
    """What the last start left; None where there was none, or where the file is not whole."""
    try:
        return State.model_validate_json((folder / "server.json").read_bytes())
    except (OSError, ValidationError):
        return None


def write(folder: Path, state: State) -> None:
    """Leave `state` for whoever comes next."""
    with replacing(folder / "server.json") as file:
        file.write(state.model_dump_json())
