"""Settings: which source wins, and what is said of a wrong key or value."""

from __future__ import annotations

from pathlib import Path

import pytest

from es_reasonrank import Reranker, load_profile, settings
from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.profile import profile_names
from es_reasonrank.settings import EngineSettings, leaves, load, variable


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder and an empty home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings, "config_file", lambda: tmp_path / "user.yaml")
    return tmp_path


def test_defaults() -> None:
    loaded = load(environ={})
    assert loaded.settings.profile == "encoder"
    assert set(loaded.origins.values()) == {"default"}


def test_a_flag_beats_the_environment_beats_the_project_beats_the_user(home: Path) -> None:
    (home / "user.yaml").write_text("profile: user\ndepth: 1\nelastic: {url: http://user, timeout: 1}\n")
    (home / "es_reasonrank.yaml").write_text("profile: project\ndepth: 2\nelastic: {url: http://project}\n")
    environ = {"ES_REASONRANK_PROFILE": "environment", "ES_REASONRANK_DEPTH": "3"}
    loaded = load({"profile": "flag", "elastic.username": None}, environ=environ)
    assert loaded.settings.profile == "flag"
    assert loaded.settings.depth == 3
    assert loaded.settings.elastic.url == "http://project"
    assert loaded.settings.elastic.timeout == 1
    assert loaded.origins["profile"] == "flag"
    assert loaded.origins["depth"] == "environment variable ES_REASONRANK_DEPTH"
    assert loaded.origins["elastic.url"] == "es_reasonrank.yaml"
    assert loaded.origins["elastic.timeout"] == str(home / "user.yaml")
    assert loaded.origins["elastic.username"] == "default"


def test_every_setting_has_a_variable() -> None:
    assert variable("elastic.url") == "ES_REASONRANK_ELASTIC_URL"
    names = [variable(key) for key, _ in leaves()]
    assert len(names) == len(set(names))


def test_lists_are_separated_by_commas_in_the_environment() -> None:
    assert load(environ={"ES_REASONRANK_FIELDS": "title, body"}).settings.fields == ("title", "body")


def test_variables_of_other_names_are_left_alone() -> None:
    """Orchestrators inject their own: ES_REASONRANK_SERVICE_HOST where a service is called es-reasonrank."""
    assert load(environ={"ES_REASONRANK_SERVICE_HOST": "10.0.0.1"}).settings.profile == "encoder"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("profil: x\n", "es_reasonrank.yaml: unknown key 'profil' (did you mean 'profile'?)"),
        ("elastic: {ulr: x}\n", "es_reasonrank.yaml: unknown key 'elastic.ulr' (did you mean 'url'?)"),
        ("depth: many\n", "es_reasonrank.yaml: key 'depth': input should be a valid integer"),
        ("elastic: nope\n", "es_reasonrank.yaml: key 'elastic'"),
        ("- a\n", "config file es_reasonrank.yaml must hold keys and values, not list"),
        ("a: [\n", "config file es_reasonrank.yaml, line 2 is not valid YAML"),
    ],
)
def test_a_broken_file_names_the_key_and_its_nearest(text: str, sentence: str, home: Path) -> None:
    (home / "es_reasonrank.yaml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(environ={})
    assert sentence in str(caught.value)


def test_a_broken_variable_is_named() -> None:
    with pytest.raises(SettingsError, match=r"environment variable ES_REASONRANK_DEPTH: key 'depth'"):
        load(environ={"ES_REASONRANK_DEPTH": "-1"})


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_loads_and_says_what_it_is(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.summary
    assert profile.source
    assert profile.needs


def test_a_profile_of_the_users_own(home: Path) -> None:
    path = home / "mine.yaml"
    path.write_text(
        "name: mine\nstrategy: {name: sliding}\njudge: {name: listwise}\nengine: {name: vllm, model: some/model}\n"
    )
    assert load_profile(path).engine["model"] == "some/model"


def test_a_profile_holds_the_template_that_it_names_by_a_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text(
        "method: singleturn_listwise\nprefix: '{query}'\nbody: '[{rank}] {candidate}'\n"
    )
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nstrategy: {name: sliding}\njudge: {name: listwise, template: ours.yaml}\n"
        "engine: {name: openai, base_url: 'http://gpu'}\n"
    )
    profile = load_profile(tmp_path / "mine.yaml")
    assert profile.public()["judge"]["template"]["prefix"] == "{query}"
    assert Reranker.load(profile).ranker.judge.prompter.template.prefix == "{query}"  # type: ignore[attr-defined]
    (tmp_path / "ours.yaml").write_text("method: singleturn_listwise\nbody: '[{rank}]'\n")
    with pytest.raises(SettingsError, match=r"template .*ours\.yaml.*must hold"):
        load_profile(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("assignments", "sentence"),
    [
        (["nonsense"], "'nonsense' is no assignment"),
        (["engin.model=x"], "'engin.model=x' is no assignment"),
        (["dept=3"], "unknown key 'dept' (did you mean 'depth'?)"),
        (["depth=-1"], "key 'depth'"),
        (["strategy=5"], "key 'strategy'"),
        (["judge.prefix=["], "'[' is no YAML value; put it in quotes"),
    ],
)
def test_a_wrong_assignment(assignments: list[str], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_profile("reasonrank").assigned(assignments)
    assert sentence in str(caught.value)


def test_assignments_change_single_values() -> None:
    profile = load_profile("reasonrank").assigned(["strategy.window=10", "judge.sampling.temperature=0.6", "depth=30"])
    assert (profile.strategy["window"], profile.judge["sampling"]["temperature"], profile.depth) == (10, 0.6, 30)
    assert load_profile("reasonrank").strategy["window"] == 20


def test_the_same_ranker_served_elsewhere() -> None:
    profile = load_profile("reasonrank").served_by(EngineSettings(base_url="http://gpu:8000"))
    assert profile.engine == {
        "name": "openai",
        "model": "liuwenhan/reasonrank-7B",
        "context": 32768,
        "base_url": "http://gpu:8000",
    }
    assert load_profile("reasonrank").served_by(EngineSettings()) == load_profile("reasonrank")


def test_unknown_names_on_every_axis() -> None:
    for axis, name in (("strategy", "slidin"), ("judge", "listwize"), ("engine", "vlm")):
        with pytest.raises(SettingsError, match=f"profile reasonrank, {axis}: unknown {axis} '{name}' .did you mean"):
            Reranker.load(load_profile("reasonrank").assigned([f"{axis}.name={name}"]))
    with pytest.raises(
        SettingsError, match=r"profile reasonrank, judge listwise: unknown key 'pasage_tokens' \(did you"
    ):
        Reranker.load(load_profile("reasonrank").assigned(["judge.pasage_tokens=3"]))
    with pytest.raises(SettingsError, match=r"unknown profile 'reasonrnk' .did you mean 'reasonrank'"):
        load_profile("reasonrnk")
