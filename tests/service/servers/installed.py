"""Clients in folders of their own in the user's cache: they need versions of things that this project has others of."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from es_reasonrank import paths
from es_reasonrank.elastic.embedded.locks import locked

SCRIPTS = Path(__file__).parent / "clients"
_SECONDS = 300


def python_packages(*wanted: str) -> Path:
    """A folder with these packages and what they need, for PYTHONPATH."""
    return _installed(wanted, [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable, "--target"])


def node_packages(*wanted: str) -> Path:
    """A folder with these packages, to run node in."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("needs node and npm")
    return _installed(wanted, ["npm", "install", "--no-audit", "--no-fund", "--prefix"])


def _installed(wanted: Sequence[str], command: Sequence[str]) -> Path:
    home = paths.cache_dir() / "test-clients"
    folder = home / "+".join(wanted).replace("/", "-")
    with locked(home, remedy="choose another with ES_REASONRANK_CACHE_DIR", say=lambda line: None):
        if not folder.is_dir():
            draft = home / "draft"
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            done = subprocess.run(
                [*command, str(draft), *wanted], capture_output=True, text=True, timeout=_SECONDS, check=False
            )
            if done.returncode:
                pytest.skip(f"needs {', '.join(wanted)}, which could not be installed: {done.stderr.strip()[-300:]}")
            draft.rename(folder)
    return folder


async def python_client(script: str, *arguments: str, packages: Path | None = None) -> Any:
    """What a script of ours printed, run with such packages, or with those of this project."""
    added = {"PYTHONPATH": str(packages)} if packages else {}
    return await _printed([sys.executable, str(SCRIPTS / script), *arguments], added, Path.cwd())


async def node_client(script: str, *arguments: str, packages: Path) -> Any:
    """What a script of ours printed."""
    return await _printed(["node", str(SCRIPTS / script), *arguments], {}, packages)


async def _printed(command: Sequence[str], added: Mapping[str, str], folder: Path) -> Any:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **added},
        cwd=folder,
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()[-2000:]
    return json.loads(output)
