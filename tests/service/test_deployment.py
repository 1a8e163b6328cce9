"""What docker/ sets up, on a server that asks for logins; and a service that has none, or OpenSearch, behind it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.service.conftest import serving
from tests.service.servers.nodes import opensearch, secured

pytestmark = pytest.mark.one_version

SETUP = Path(__file__).parents[2] / "docker" / "elasticsearch" / "setup.sh"
PASSWORDS = {"ELASTIC_PASSWORD": "elastic-1", "KIBANA_PASSWORD": "kibana-2", "BRIDGE_PASSWORD": "bridge-3"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A secured server after its setup, which ran twice."""
    if shutil.which("curl") is None:
        pytest.skip("the setup needs curl")
    users = {"admin": ("admin-0", "superuser")}
    with secured(tmp_path_factory.mktemp("secured"), users, roles="{}") as url:
        # The image gives the user `elastic` the password of its environment; here, the test does.
        given = {"password": PASSWORDS["ELASTIC_PASSWORD"]}
        path = f"{url}/_security/user/elastic/_password"
        assert httpx.post(path, json=given, auth=("admin", "admin-0"), timeout=60).is_success
        for _ in range(2):
            environ = os.environ | PASSWORDS | {"ELASTICSEARCH": url}
            done = subprocess.run(["sh", SETUP], env=environ, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
        yield url


@pytest.fixture
def bridge() -> httpx.BasicAuth:
    """The bridge's own login."""
    return httpx.BasicAuth("es_reasonrank", PASSWORDS["BRIDGE_PASSWORD"])


async def test_kibana_can_log_in(url: str) -> None:
    async with httpx.AsyncClient(auth=("kibana_system", PASSWORDS["KIBANA_PASSWORD"])) as client:
        assert (await client.get(f"{url}/_security/_authenticate")).json()["username"] == "kibana_system"


async def test_the_bridges_login_is_for_its_own_indices(url: str, bridge: httpx.BasicAuth) -> None:
    async with httpx.AsyncClient(base_url=url, auth=bridge, timeout=30) as client:
        assert (await client.get("/")).status_code == 200
        assert (await client.put("/es-reasonrank-judgments")).status_code == 200
        assert (await client.post("/es-reasonrank-judgments/_doc?refresh=true", json={"a": 1})).status_code == 201
        assert (await client.get("/es-reasonrank-judgments/_search")).json()["hits"]["total"]["value"] == 1
        assert (await client.put("/articles")).status_code == 403
        assert (await client.get("/_security/user")).status_code == 403


async def test_ready_with_the_bridges_login(url: str) -> None:
    flags = {"elastic.username": "es_reasonrank", "elastic.password": PASSWORDS["BRIDGE_PASSWORD"]}
    async with (
        serving({"profile": "identity", "elastic.url": url, **flags}) as service,
        httpx.AsyncClient(base_url=service, timeout=30) as client,
    ):
        assert (await client.get("/ready")).status_code == 200
        info = await client.get("/info")
    assert info.json()["elasticsearch"]["version"]
    assert PASSWORDS["BRIDGE_PASSWORD"] not in info.text


async def test_ready_without_a_login_of_its_own(url: str) -> None:
    async with (
        serving({"profile": "identity", "elastic.url": url}) as service,
        httpx.AsyncClient(base_url=service, timeout=30) as client,
    ):
        answer = await client.get("/ready")
        info = await client.get("/info")
    assert answer.status_code == 200, "its callers have logins"
    assert "401" in answer.json()["parts"]["elasticsearch"]["detail"]
    assert info.json()["elasticsearch"] is None


async def test_ready_in_front_of_opensearch(tmp_path: Path) -> None:
    with opensearch(tmp_path) as url:
        async with (
            serving({"profile": "identity", "elastic.url": url}) as service,
            httpx.AsyncClient(base_url=service, timeout=30) as client,
        ):
            answer = await client.get("/ready")
            info = (await client.get("/info")).json()
    assert answer.status_code == 200
    assert (info["elasticsearch"]["name"], info["elasticsearch"]["version"][0]) == ("opensearch", "3")
