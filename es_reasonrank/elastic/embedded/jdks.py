"""The JDKs of this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from es_reasonrank.errors import MissingError, SettingsError

VARIABLE = "ES_REASONRANK_JAVA_HOME"
_FOLDERS = (
    "/usr/lib/jvm/*",
    "~/.sdkman/candidates/java/*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
)
_SECONDS = 20


@dataclass(frozen=True)
class Jdk:
    """A Java with a compiler."""

    home: Path
    feature: int
    """The 17 of 17.0.15."""

    @property
    def java(self) -> Path:
        """The program that runs classes."""
        return self.home / "bin" / "java"

    def __str__(self) -> str:
        return f"Java {self.feature} in {self.home}"


@dataclass(frozen=True)
class NoJdk:
    """A Java that cannot be used, and why."""

    place: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.place} ({self.reason})"


def installed(environ: Mapping[str, str] = os.environ) -> list[Jdk | NoJdk]:
    """Every Java of this machine, each asked once, the preferred one first.

    Raises:
        SettingsError: ES_REASONRANK_JAVA_HOME is set, and no JDK is there.
    """
    own = environ.get(VARIABLE)
    if own:
        chosen = ask(_program(own))
        if isinstance(chosen, NoJdk):
            raise SettingsError(f"{VARIABLE} is {own}, and no JDK: {chosen.reason}; correct it or unset it")
        return [chosen]
    asked = (ask(program) for program in _once(_programs(environ)))
    return list(dict.fromkeys(asked))


def ask(program: Path) -> Jdk | NoJdk:
    """What a `java` says of itself. Its own word counts, not its path: it may be a launcher that lies elsewhere."""
    if not program.is_file():
        return NoJdk(program.parent.parent, "no bin/java")
    try:
        answer = subprocess.run(
            [program, "-XshowSettings:properties", "-version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=True,
        ).stderr
    except (OSError, subprocess.SubprocessError):
        return NoJdk(program, "does not run")
    return read(program, answer)


def read(program: Path, answer: str) -> Jdk | NoJdk:
    """The JDK that the properties which `java` printed are about."""
    properties = dict(re.findall(r"^\s*(java\.home|java\.specification\.version) = (.+?)\s*$", answer, re.MULTILINE))
    feature = re.fullmatch(r"(?:1\.)?(\d+)", properties.get("java.specification.version", ""))
    if feature is None or "java.home" not in properties:
        return NoJdk(program, "does not say its version")
    home = Path(properties["java.home"])
    if not home.joinpath("bin", "javac").is_file():
        return NoJdk(home, f"Java {feature[1]} without javac")
    return Jdk(home, int(feature[1]))


def first(found: Iterable[Jdk | NoJdk], feature: int) -> Jdk | None:
    """The first JDK of Java `feature` or newer."""
    return next((jdk for jdk in found if isinstance(jdk, Jdk) and jdk.feature >= feature), None)


def wanted(version: str, feature: int, found: Sequence[Jdk | NoJdk]) -> MissingError:
    """What is missing, what there is instead, and how to get it."""
    there = "; ".join(str(java) for java in found) or "no Java at all"
    return MissingError(
        f"Elasticsearch {version} needs a JDK of Java {feature} or newer, and there is: {there}; "
        f"install one (from your package manager or https://adoptium.net), or set {VARIABLE} to its folder"
    )


def _programs(environ: Mapping[str, str]) -> Iterator[Path]:
    if environ.get("JAVA_HOME"):
        yield _program(environ["JAVA_HOME"])
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    if on_path:
        yield Path(on_path)
    for pattern in _FOLDERS:
        yield from (_program(folder) for folder in sorted(glob(os.path.expanduser(pattern)), reverse=True))


def _program(home: str) -> Path:
    return Path(home).expanduser() / "bin" / "java"


def _once(programs: Iterable[Path]) -> Iterator[Path]:
    """Each program under the first of its names."""
    seen = set()
    for program in programs:
        if program.resolve() not in seen:
            seen.add(program.resolve())
            yield program
