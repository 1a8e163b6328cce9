"""Processes by number and argument: a number alone may have passed on to another program."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from es_reasonrank.errors import ElasticError

_TICK = 0.05
_KILL_SECONDS = 5.0
_PROC = Path("/proc")


def runs(pid: int, argument: str) -> bool:
    """Whether process `pid` is alive and was started with `argument`."""
    return f" {argument} " in f" {_command_line(pid)} "


def stop(pid: int, argument: str, *, seconds: float) -> None:
    """Ask the process to end, and kill it after `seconds`; another process that got its number is left alone.

    Raises:
        ElasticError: it belongs to another user, or does not end.
    """
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, _KILL_SECONDS)):
        if not runs(pid, argument):
            return
        _signal(pid, number)
        if _ended(pid, argument, patience):
            return
    raise ElasticError(f"process {pid} of the embedded Elasticsearch does not end; end it with: kill -9 {pid}")


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise ElasticError(
            f"the embedded Elasticsearch belongs to another user (process {pid}); stop it as that user"
        ) from error


def _ended(pid: int, argument: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while runs(pid, argument):
        if time.monotonic() > deadline:
            return False
        time.sleep(_TICK)
    with suppress(ChildProcessError):  # where this very process had started it
        os.waitpid(pid, os.WNOHANG)
    return True


def _command_line(pid: int) -> str:
    """The arguments of a process; empty where it is none, or has ended and waits to be collected."""
    if _PROC.joinpath("self").exists():
        try:
            return os.fsdecode(_PROC.joinpath(str(pid), "cmdline").read_bytes().replace(b"\0", b" "))
        except OSError:
            return ""
    listed = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, check=False)
    return os.fsdecode(listed.stdout).strip()
