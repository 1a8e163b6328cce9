"""A process and what it takes: its answer, and the most memory that it and its children held together."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from es_reasonrank.errors import EngineError

_EVERY = 0.5
"""Seconds between two looks at the memory."""
_LAST = 2_000
"""Characters of a failed process' output that its error shows."""


def run(command: Sequence[str], inputs: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """What a side writes to the file that its last argument names, with its peak memory in bytes.

    Raises:
        EngineError: the process failed; the end of its output is in the message.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, answer, log = (Path(folder) / name for name in ("inputs.json", "answer.json", "log.txt"))
        given.write_text(json.dumps(inputs))
        with log.open("w") as output:
            process = subprocess.Popen(
                [*command, str(given), str(answer)],
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                peak = _watch(process)
            finally:
                process.terminate()  # nothing to do but where this process is interrupted
        if process.returncode or not answer.is_file():
            said = log.read_text(errors="replace")[-_LAST:]
            raise EngineError(f"{command[-1]} ended with code {process.returncode}:\n{said}", engine="vllm")
        return {**json.loads(answer.read_text()), "peak_memory": peak}


def _watch(process: subprocess.Popen[Any]) -> int:
    """Wait for a process, and give the most memory that its tree held: resident pages, those shared counted anew."""
    import psutil  # type: ignore[import-untyped]

    peak = 0
    root = psutil.Process(process.pid)
    while process.poll() is None:
        held = 0
        try:
            for member in (root, *root.children(recursive=True)):
                held += member.memory_info().rss
        except psutil.NoSuchProcess:
            pass
        peak = max(peak, held)
        time.sleep(_EVERY)
    return peak
