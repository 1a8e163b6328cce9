"""Which JDK runs which Elasticsearch, and what is said where none does."""

from __future__ import annotations

from pathlib import Path

import pytest

from es_reasonrank.elastic.embedded import jdks
from es_reasonrank.elastic.embedded.jdks import Jdk, NoJdk, ask, installed, read
from es_reasonrank.elastic.embedded.releases import choose, full, java_of, major
from es_reasonrank.errors import MissingError, SettingsError

NOWHERE = NoJdk(Path("/jre"), "Java 21 without javac")
OLD, SEVENTEEN, TWENTY_ONE, NEWEST = (Jdk(Path(f"/jdk{feature}"), feature) for feature in (11, 17, 21, 25))


def answer(home: Path, specification: str) -> str:
    """What `java -XshowSettings:properties -version` prints, as far as it is read."""
    return f"""Property settings:
    file.encoding = UTF-8
    java.class.path =
    java.home = {home}
    java.io.tmpdir = /tmp
    java.specification.version = {specification}
    java.vm.specification.version = 99
openjdk version "99"
"""


def placed(home: Path, specification: str, *, compiler: bool = True) -> Path:
    """A folder with a program that answers like a JDK of that version."""
    programs = home / "bin"
    programs.mkdir(parents=True)
    programs.joinpath("java").write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{answer(home, specification)}END\n")
    programs.joinpath("java").chmod(0o755)
    if compiler:
        programs.joinpath("javac").touch()
    return home


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where JDKs are looked for besides the environment."""
    monkeypatch.setattr(jdks, "_FOLDERS", (f"{tmp_path}/jvm/*",))
    return tmp_path / "jvm"


@pytest.mark.parametrize(("specification", "feature"), [("1.8", 8), ("9", 9), ("17", 17), ("25", 25)])
def test_the_version_of_a_jdk(tmp_path: Path, specification: str, feature: int) -> None:
    home = placed(tmp_path / "jdk", specification)
    assert ask(home / "bin" / "java") == Jdk(home, feature)


def test_a_launcher_elsewhere_is_asked_for_its_home(tmp_path: Path) -> None:
    home = placed(tmp_path / "real", "21")
    assert read(Path("/shims/java"), answer(home, "21")) == Jdk(home, 21)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("", "does not say its version"),
        ("exit 1", "does not run"),
        ("kill -9 $$", "does not run"),
        ("echo '    java.specification.version = 21' >&2", "does not say its version"),
        ("echo '    java.home = /x\n    java.specification.version = next' >&2", "does not say its version"),
    ],
)
def test_a_java_that_cannot_be_used(tmp_path: Path, program: str, reason: str) -> None:
    path = tmp_path / "java"
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)
    assert ask(path) == NoJdk(path, reason)


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    path = tmp_path / "java"
    path.write_text("not a program")
    assert ask(path) == NoJdk(path, "does not run")


def test_a_java_without_a_compiler_is_passed_over(folders: Path) -> None:
    home = placed(folders / "jre", "21", compiler=False)
    assert installed({}) == [NoJdk(home, "Java 21 without javac")]


def test_all_places_in_order_each_jdk_once(folders: Path, tmp_path: Path) -> None:
    placed(folders / "java-17", "17")
    placed(folders / "java-25", "25")
    (folders / "java-1.17").symlink_to(folders / "java-17")
    home, on_path = placed(tmp_path / "home", "21"), placed(tmp_path / "path", "11")
    shims = tmp_path / "shims"
    shims.mkdir()
    (shims / "java").symlink_to(on_path / "bin" / "java")
    found = installed({"JAVA_HOME": str(home), "PATH": str(shims)})
    assert found == [Jdk(home, 21), Jdk(on_path, 11), Jdk(folders / "java-25", 25), Jdk(folders / "java-17", 17)]


def test_a_jdk_of_the_users_choice_is_the_only_one(folders: Path, tmp_path: Path) -> None:
    placed(folders / "java-25", "25")
    mine = placed(tmp_path / "mine", "17")
    assert installed({jdks.VARIABLE: str(mine), "JAVA_HOME": str(folders / "java-25")}) == [Jdk(mine, 17)]


def test_a_wrong_choice_is_an_error_and_not_passed_over(folders: Path) -> None:
    placed(folders / "java-25", "25")
    with pytest.raises(SettingsError, match="ES_REASONRANK_JAVA_HOME is /none, and no JDK: no bin/java; correct it"):
        installed({jdks.VARIABLE: "/none"})


@pytest.mark.parametrize(
    ("found", "chosen"),
    [
        ([SEVENTEEN, NEWEST], ("9.5.3", NEWEST)),
        ([NEWEST, TWENTY_ONE], ("9.5.3", NEWEST)),
        ([TWENTY_ONE, SEVENTEEN], ("9.5.3", TWENTY_ONE)),
        ([NOWHERE, OLD, SEVENTEEN], ("8.19.21", SEVENTEEN)),
    ],
)
def test_the_newest_elasticsearch_that_the_jdks_run(found: list[Jdk | NoJdk], chosen: tuple[str, Jdk]) -> None:
    assert choose(None, None, found) == chosen


@pytest.mark.parametrize(
    ("last", "version"), [("8.19.21", "8.19.21"), ("8.19.2", "8.19.21"), ("8.20.0", "8.20.0"), ("9.1.0", "9.5.3")]
)
def test_the_version_of_the_data_without_a_wish(last: str, version: str) -> None:
    assert choose(None, last, [NEWEST])[0] == version


def test_a_wish_comes_before_the_version_of_the_data() -> None:
    assert choose("9.5.3", "8.19.21", [NEWEST]) == ("9.5.3", NEWEST)


def test_the_sentence_where_java_is_too_old() -> None:
    expected = (
        r"Elasticsearch 9\.5\.3 needs a JDK of Java 21 or newer, and there is: Java 17 in /jdk17; "
        r"/jre \(Java 21 without javac\); install one \(.*adoptium\.net\), or set ES_REASONRANK_JAVA_HOME"
    )
    with pytest.raises(MissingError, match=expected):
        choose("9.5.3", None, [SEVENTEEN, NOWHERE])


def test_the_sentence_where_there_is_no_java() -> None:
    with pytest.raises(MissingError, match="needs a JDK of Java 17 or newer, and there is: no Java at all; install"):
        choose(None, None, [])


@pytest.mark.parametrize(
    ("text", "version"), [("9", "9.5.3"), ("8", "8.19.21"), ("9.1.0", "9.1.0"), ("8.19.0", "8.19.0")]
)
def test_versions_that_can_be_embedded(text: str, version: str) -> None:
    assert full(text) == version
    assert java_of(version) == {8: 17, 9: 21}[major(version)]


@pytest.mark.parametrize(
    "text", ["", "7.17.29", "8.18.8", "9.0.8", "10.0.0", "9.5", "9.5.3-SNAPSHOT", "9.5.3 ", "latest"]
)
def test_versions_that_cannot(text: str) -> None:
    with pytest.raises(
        SettingsError, match=r"cannot be embedded; choose 9\.5\.3 or 8\.19\.21, or another release from"
    ):
        full(text)
