"""Elasticsearch's jars from Maven Central, with the few classes of ours that make a server of them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from es_reasonrank import paths
from es_reasonrank.elastic.embedded.jdks import Jdk, installed
from es_reasonrank.elastic.embedded.locks import Say, locked
from es_reasonrank.elastic.embedded.releases import choose, java_of
from es_reasonrank.errors import ElasticError, MissingError

_SOURCES = Path(__file__).parent / "java"
_DRAFT = "draft-"
_SECONDS = 900
_PLUGINS = "org.apache.maven.plugins"
_ABSENT = re.compile(r"Could not find artifact org\.elasticsearch|org\.elasticsearch\S* was not found")
_UNREACHABLE = re.compile(
    r"Unknown host|Temporary failure|Connection refused|Connect to .* failed|timed out|Network is unreachable|"
    r"No route to host|PKIX|transfer failed|Could not transfer",
    re.IGNORECASE,
)


def built(version: str, jdk: Jdk, say: Say) -> Path:
    """The folder with `classes` and `lib` of a version; it is made where it is not there.

    Raises:
        MissingError: it must be made, and there is no Maven.
        ElasticError: Maven failed; its log is named.
        SettingsError: the cache folder cannot be written.
    """
    folder = _folder(version)
    if folder.is_dir():
        return folder
    with locked(folder.parent, remedy="choose another with ES_REASONRANK_CACHE_DIR", say=say):
        if not folder.is_dir():
            _build(folder, version, jdk, say)
    return folder


def check_build_tools() -> str:
    """What the embedded server would run on here, in a line.

    Raises:
        MissingError: something is missing.
        SettingsError: ES_REASONRANK_JAVA_HOME is wrong.
    """
    version, jdk = choose(None, None, installed())
    if _folder(version).is_dir():
        return f"Elasticsearch {version} on {jdk}, built"
    return f"Elasticsearch {version} on {jdk}, to be built with {_maven()} at its first start"


def _folder(version: str) -> Path:
    return paths.cache_dir() / "elasticsearch" / version / fingerprint()


def _maven() -> str:
    maven = shutil.which("mvn")
    if maven is None:
        raise MissingError(
            "Maven is needed once, to get Elasticsearch from Maven Central, and there is no `mvn` on the PATH; "
            "install it (apt-get install maven, brew install maven)"
        )
    return maven


def fingerprint(sources: Path = _SOURCES) -> str:
    """A name that changes with the sources: what an older package has built is not used by a newer one."""
    digest = hashlib.sha256()
    for path in sorted(sources.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(sources).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _build(folder: Path, version: str, jdk: Jdk, say: Say) -> None:
    maven = _maven()
    say(f"building Elasticsearch {version} from Maven Central, once; about 40 MB")
    for abandoned in folder.parent.glob(f"{_DRAFT}*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=folder.parent))
    try:
        _run(_command(maven, version, draft), jdk, version, folder.parent / "build.log")
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _command(maven: str, version: str, out: Path) -> list[str]:
    return [
        maven,
        "--batch-mode",
        "--no-transfer-progress",
        "-Dstyle.color=never",
        f"--file={_SOURCES / 'pom.xml'}",
        f"-Delasticsearch.version={version}",
        f"-Dmaven.compiler.release={java_of(version)}",
        f"-Dout={out}",
        f"{_PLUGINS}:maven-compiler-plugin:compile",
        f"{_PLUGINS}:maven-dependency-plugin:copy-dependencies",
    ]


def _run(command: Sequence[str], jdk: Jdk, version: str, log: Path) -> None:
    environment = {**os.environ, "JAVA_HOME": str(jdk.home)}
    try:
        with log.open("wb") as output:
            subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_SECONDS,
                check=True,
            )
    except subprocess.TimeoutExpired as error:
        raise ElasticError(
            f"getting Elasticsearch {version} from Maven Central took over {_SECONDS // 60} minutes; try again; "
            f"log: {log}"
        ) from error
    except subprocess.CalledProcessError as error:
        raise failure(version, log.read_text(encoding="utf-8", errors="replace"), log) from error


def failure(version: str, output: str, log: Path) -> ElasticError:
    """What went wrong in a run of Maven, from what it printed."""
    first = next((line for line in output.splitlines() if line.startswith("[ERROR]")), "Maven says nothing")
    reason = first.removeprefix("[ERROR]").split(" -> [Help")[0].strip()
    if _ABSENT.search(reason):
        return ElasticError(f"Elasticsearch {version} is not on Maven Central; choose another --version; log: {log}")
    if _UNREACHABLE.search(reason):
        return ElasticError(
            f"Maven Central cannot be reached; check the network, or set a proxy or mirror in ~/.m2/settings.xml; "
            f"log: {log}"
        )
    return ElasticError(f"building Elasticsearch {version} failed: {reason}; log: {log}")
