"""What tests need from Maven Central, fetched once into the user's cache folder; tests are skipped where it is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from es_reasonrank import paths
from es_reasonrank.elastic.embedded.build import fingerprint
from es_reasonrank.elastic.embedded.jdks import Jdk, first, installed
from es_reasonrank.elastic.embedded.locks import locked

_PLUGINS = "org.apache.maven.plugins"
_SECONDS = 600


def jdk(feature: int) -> Jdk:
    """A JDK of Java `feature` or newer; the test is skipped without one."""
    found = first(installed(), feature)
    if found is None:
        pytest.skip(f"needs a JDK of Java {feature} or newer")
    return found


def built(name: str, sources: Sequence[Path], java: Jdk, *properties: str) -> Path:
    """A folder with `classes` and `lib`, made of source folders; a file of a later one goes before its namesakes."""
    folder = _home() / f"{name}-{'-'.join(fingerprint(path) for path in sources)}"
    with locked(_home(), remedy="choose another with ES_REASONRANK_CACHE_DIR", say=lambda line: None):
        if not folder.is_dir():
            draft = Path(tempfile.mkdtemp(prefix="draft-", dir=_home()))
            try:
                for path in sources:
                    shutil.copytree(path, draft / "java", dirs_exist_ok=True)
                goals = [
                    f"{_PLUGINS}:maven-compiler-plugin:compile",
                    f"{_PLUGINS}:maven-dependency-plugin:copy-dependencies",
                ]
                _maven(java, f"--file={draft / 'java' / 'pom.xml'}", f"-Dout={draft}", *properties, *goals)
                draft.rename(folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return folder


def artifact(coordinates: str) -> Path:
    """The file of one artifact: group:name:version."""
    folder = _home() / coordinates.replace(":", "-")
    with locked(_home(), remedy="choose another with ES_REASONRANK_CACHE_DIR", say=lambda line: None):
        if not any(folder.glob("*.jar")):
            goal = f"{_PLUGINS}:maven-dependency-plugin:3.8.1:copy"
            _maven(jdk(17), goal, f"-Dartifact={coordinates}", f"-DoutputDirectory={folder}")
    return next(folder.glob("*.jar"))


def _home() -> Path:
    return paths.cache_dir() / "test-servers"


def _maven(java: Jdk, *arguments: str) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        pytest.skip("needs Maven (mvn) to fetch what it tests with")
    done = subprocess.run(
        [maven, "--batch-mode", "--no-transfer-progress", "-Dstyle.color=never", *arguments],
        env={**os.environ, "JAVA_HOME": str(java.home)},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        error = next((line for line in done.stdout.splitlines() if line.startswith("[ERROR]")), done.stdout[-300:])
        pytest.skip(f"needs what Maven could not get: {error}")
