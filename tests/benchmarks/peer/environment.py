"""The peer's environment: rank_llm from PyPI in a virtual environment of its own, under the user's cache folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from es_reasonrank.errors import MissingError
from es_reasonrank.paths import cache_dir

PEER = "rank_llm-0.25.7"
_ROOT = Path(__file__).parents[3]
_VARIABLES = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
}


def folder() -> Path:
    """Where the benchmark keeps what can be made again."""
    return cache_dir() / "bench"


def peer_python() -> Path:
    """The peer's interpreter; its environment is made at the first call, and again where its pins have changed.

    The packages that both sides need have the versions of this project's own pins.

    Raises:
        MissingError: it cannot be installed.
    """
    home = folder() / PEER
    python, stamp = home / "bin" / "python", home / "installed"
    requirements = _ROOT / "requirements"
    pins = "".join((requirements / name).read_text() for name in ("peer.txt", "overrides.txt", "constraints.txt"))
    if stamp.is_file() and stamp.read_text() == pins:
        return python
    home.parent.mkdir(parents=True, exist_ok=True)
    overrides = home.parent / "overrides.txt"
    # It asks for vllm, whose build for the processor has another name.
    overrides.write_text((requirements / "overrides.txt").read_text() + 'vllm ; sys_platform == "never"\n')
    _uv("venv", "--clear", "--python", sys.executable, str(home))
    wanted = ("--requirement", "peer.txt", "--constraint", "constraints.txt")
    files = [word if word.startswith("--") else str(requirements / word) for word in wanted]
    _uv("pip", "install", "--python", str(python), "--override", str(overrides), *files)
    stamp.write_text(pins)
    return python


def peer_template(name: str) -> Path:
    """One of the peer's own prompt templates, read in place.

    Raises:
        MissingError: it has none of that name.
    """
    found = sorted((folder() / PEER).glob(f"lib/python*/site-packages/rank_llm/rerank/prompt_templates/{name}.yaml"))
    if not found:
        raise MissingError(f"{PEER} has no prompt template {name!r}")
    return found[0]


def variables() -> dict[str, str]:
    """The environment variables of both sides; byte code is kept in the benchmark's folder, for both alike."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, **_VARIABLES, "PYTHONPYCACHEPREFIX": str(folder() / "bytecode")}


def _uv(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "uv", "--quiet", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise MissingError(f"the peer's environment cannot be made: {done.stderr.strip() or done.stdout.strip()}")
