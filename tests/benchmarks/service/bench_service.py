"""What the service adds to Elasticsearch: latency and throughput, beside direct calls and a plain nginx proxy.

    python tests/benchmarks/service/bench_service.py [--seconds 8] [--steady 600] [--out FILE]

All arms run in one go on the loopback, in turns, on the same index and the same searches: 10 of 100 hits are shown.
`reranked` asks for the identity profile over 100 hits: everything is done but asking a model. Beside it, the same 100
hits asked of Elasticsearch directly, and passed on unread.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import httpx
from rich.console import Console
from rich.table import Table

from es_reasonrank.demo.corpus import passages
from es_reasonrank.demo.questions import questions
from es_reasonrank.elastic.embedded import down, up

INDEX = "bench"
PATH = f"/{INDEX}/_search"
LOAD = Path(__file__).with_name("load.py")
_ENVIRONMENT = {"ES_REASONRANK_SERVICE_CACHE_SIZE": "1"}
NGINX = """
worker_processes 2; daemon off; error_log stderr crit; pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream elastic {{ server 127.0.0.1:{elastic}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://elastic; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


def fill(url: str) -> int:
    """Index the corpus; how many passages there are."""
    rows = list(passages())
    lines = []
    for row in rows:
        lines += [json.dumps({"index": {"_id": row["_id"]}}), json.dumps({"title": row["title"], "body": row["body"]})]
    with httpx.Client(base_url=url, timeout=120) as client:
        client.delete(f"/{INDEX}", params={"ignore_unavailable": "true"})
        settings = {"settings": {"number_of_shards": 1}}
        client.put(f"/{INDEX}", json=settings).raise_for_status()
        for start in range(0, len(lines), 2000):
            content = "\n".join(lines[start : start + 2000]) + "\n"
            headers = {"Content-Type": "application/x-ndjson"}
            client.post(f"/{INDEX}/_bulk", content=content, headers=headers).raise_for_status()
        client.post(f"/{INDEX}/_forcemerge", params={"max_num_segments": "1"}).raise_for_status()
    return len(rows)


def bodies(*, rerank: bool, size: int = 10) -> list[str]:
    """The searches, one a question."""
    found: list[str] = []
    for question in questions().values():
        match = {"query": question, "fields": ["title", "body"]}
        body: dict[str, Any] = {"query": {"multi_match": match}, "size": size}
        if rerank:
            body["ext"] = {"rerank": {"query": question, "fields": ["title", "body"], "depth": 100}}
        found.append(json.dumps(body))
    return found


@contextmanager
def process(command: list[str], port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server that is up, and is stopped afterwards."""
    with (folder / f"{port}.log").open("wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | _ENVIRONMENT)
    try:
        for _ in range(300):
            try:
                httpx.get(f"http://127.0.0.1:{port}/", timeout=5)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(30)


def spent(pid: int) -> float:
    """Seconds of processor time that a process took."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(
    port: int, asked: list[str], connections: int, seconds: float, rate: float | None = None, pid: int | None = None
) -> dict[str, Any]:
    """One arm for some seconds.

    Args:
        pid: the process that is asked, to tell the processor time that it takes.
    """
    before = spent(pid) if pid else 0.0
    wanted = {"port": port, "path": PATH, "bodies": asked, "connections": connections, "seconds": seconds, "rate": rate}
    done = subprocess.run([sys.executable, str(LOAD), json.dumps(wanted)], capture_output=True, check=True, text=True)
    said: dict[str, Any] = json.loads(done.stdout)
    times = sorted(said["seconds"])
    return {
        "p50_ms": statistics.median(times) * 1000,
        "p95_ms": times[int(len(times) * 0.95)] * 1000,
        "p99_ms": times[int(len(times) * 0.99)] * 1000,
        "a_second": len(times) / seconds,
        "answers": len(times),
        "errors": said["errors"],
        "processor_ms": (spent(pid) - before) / len(times) * 1000 if pid else None,
    }


def resident(pid: int) -> int:
    """MiB of a process and of those that it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    status = Path(f"/proc/{pid}/status").read_text()
    own = int(status.split("VmRSS:")[1].split()[0]) // 1024
    return own + sum(resident(int(child)) for child in children)


def steady(port: int, pid: int, asked: list[str], seconds: float, rate: float) -> dict[str, Any]:
    """A steady rate for a long time: memory must stay, and nothing may fail."""
    memory, errors, answers = [], 0, 0
    run(port, asked, 8, 5, rate)
    while seconds > 0:
        part = min(30.0, seconds)
        result = run(port, asked, 8, part, rate)
        errors += sum(result["errors"].values())
        answers += result["answers"]
        memory.append(resident(pid))
        seconds -= part
    return {"rate": rate, "answers": answers, "errors": errors, "resident_mib": memory}


def table(console: Console, title: str, rows: dict[str, dict[str, Any]]) -> None:
    """The arms side by side."""
    shown = Table(title=title, title_justify="left")
    for column in ("", "p50 ms", "p95 ms", "p99 ms", "requests/s", "service's CPU ms", "errors"):
        shown.add_column(column, justify="left" if not column else "right")
    for name, row in rows.items():
        numbers = [f"{row[key]:.2f}" for key in ("p50_ms", "p95_ms", "p99_ms")]
        taken = "-" if row["processor_ms"] is None else f"{row['processor_ms']:.2f}"
        shown.add_row(name, *numbers, f"{row['a_second']:.0f}", taken, str(row["errors"] or 0))
    console.print(shown)


def verdicts(console: Console, found: dict[str, dict[str, dict[str, Any]]]) -> None:
    """The goals, met or missed."""
    closed, paced = found["8 connections"], found["8 connections, a fixed rate"]
    for name, rows in (("as fast as it goes", closed), ("at a fixed rate", paced)):
        for key, goal in (("p50_ms", 1.5), ("p95_ms", 5.0)):
            added = rows["reranked"][key] - rows["direct, 100 hits"][key]
            met = "met" if added <= goal else "MISSED"
            console.print(
                f"added {key[:3]} of a reranked search at 8 connections, {name}: {added:+.2f} ms; goal +{goal}: {met}"
            )
    if "nginx" in closed:
        share = closed["passed"]["a_second"] / closed["nginx"]["a_second"]
        console.print(
            f"pass-through to nginx, requests a second: {share:.2f}; goal 0.8: {'met' if share >= 0.8 else 'MISSED'}"
        )


@click.command()
@click.option("--seconds", default=8.0, show_default=True, help="Of each arm at each number of connections.")
@click.option("--steady", "steady_seconds", default=0.0, help="Seconds at a steady rate afterwards; 600 for the goal.")
@click.option("--rate", default=0.0, help="Requests a second at the fixed rate; 0: a third of direct's throughput.")
@click.option("--out", type=click.Path(path_type=Path), help="File for the numbers.")
def main(seconds: float, steady_seconds: float, rate: float, out: Path | None) -> None:
    """Measure the service beside direct calls and nginx."""
    console = Console(width=110)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = up(data_dir=folder / "elasticsearch")
        stack.callback(down, folder / "elasticsearch")
        elastic = int(server.url.rsplit(":", 1)[1])
        count = fill(server.url)
        console.print(
            f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"load {os.getloadavg()[0]:.1f}; Elasticsearch {server.version}, {count} passages; "
            f"uvicorn {version('uvicorn')}, aiohttp {version('aiohttp')}; "
            f"{seconds:.0f} s an arm, identity profile, 1 worker, no order is remembered"
        )
        ports = {"direct": elastic, "service": 18080, "nginx": 18081}
        command = [str(Path(sys.executable).with_name("es-reasonrank")), "serve", "--profile", "identity"]
        command += ["--elastic-url", server.url]
        service = stack.enter_context(process([*command, "--port", "18080"], 18080, folder))
        nginx = shutil.which("nginx")
        if nginx:
            config = folder / "nginx.conf"
            config.write_text(NGINX.format(folder=folder, elastic=elastic, port=18081))
            stack.enter_context(process([nginx, "-c", str(config)], 18081, folder))
        plain, reranked, hundred = bodies(rerank=False), bodies(rerank=True), bodies(rerank=False, size=100)
        arms = {"direct": (ports["direct"], plain), "passed": (ports["service"], plain)}
        if nginx:
            arms["nginx"] = (ports["nginx"], plain)
        arms |= {"direct, 100 hits": (ports["direct"], hundred), "passed, 100 hits": (ports["service"], hundred)}
        arms["reranked"] = (ports["service"], reranked)
        for port, asked in arms.values():
            run(port, asked, 8, 3)
        pids = {ports["service"]: service.pid}
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for connections in (1, 8, 32):
            title = f"{connections} connection{'s' if connections > 1 else ''}"
            found[title] = {
                name: run(port, asked, connections, seconds, None, pids.get(port))
                for name, (port, asked) in arms.items()
            }
            table(console, title, found[title])
        rate = rate or found["8 connections"]["direct, 100 hits"]["a_second"] / 3
        title = "8 connections, a fixed rate"
        found[title] = {
            name: run(port, asked, 8, seconds, rate, pids.get(port)) for name, (port, asked) in arms.items()
        }
        table(console, f"{title}: {rate:.0f} a second", found[title])
        verdicts(console, found)
        if steady_seconds:
            held = steady(ports["service"], service.pid, reranked, steady_seconds, rate)
            console.print(f"steady: {held}")
            found["steady"] = {"reranked": held}
        if out:
            out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
