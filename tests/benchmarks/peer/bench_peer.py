"""rank_llm 0.25.7 and es-reasonrank on one machine in one run: the same weights, engine, prompts and passages.

    make bench
    python tests/benchmarks/peer/bench_peer.py build/bench_peer.json --queries 2 --depth 20

Each side runs in a process and an environment of its own, one after the other. The numbers go to the file that is
named, the table to the terminal. The first call installs rank_llm under the cache folder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import click
from environment import peer_python, peer_template, variables
from inputs import DATA, collection, lists
from report import lines
from watched import run

from es_reasonrank.engines.embedded import resolve
from es_reasonrank.errors import ReasonRankError

_HERE = Path(__file__).parent
MODEL = "embedded:smollm2-135m"


def main() -> None:
    """Read the command line and measure."""
    options = arguments()
    if not options.data.is_dir():
        click.echo(
            f"skipped: the benchmark's queries and passages, TREC DL 2019 in BEIR's layout, are not at {options.data}"
        )
        return
    try:
        measure(options)
    except ReasonRankError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="the file that the numbers go to, as JSON")
    parser.add_argument("--data", type=Path, default=DATA, help="TREC DL 2019, in BEIR's layout")
    parser.add_argument("--queries", type=int, default=8)
    parser.add_argument("--depth", type=int, default=40, help="of the longest lists")
    parser.add_argument("--words", type=int, default=30, help="of a passage")
    parser.add_argument("--window", type=int, default=20)
    parser.add_argument("--stride", type=int, default=10)
    parser.add_argument("--template", default="rank_zephyr_template", help="one of rank_llm's own")
    parser.add_argument("--order", default="peer,ours", help="the sides as they run: peer,ours,peer takes longer")
    parser.add_argument("--repeats", type=int, default=2, help="how often ours and the engine alone are measured")
    parser.add_argument("--peer-repeats", type=int, default=1, help="how often rank_llm is measured in a turn")
    parser.add_argument("--one-by-one", action="store_true", help="measure rank_llm with one list a batch, too")
    parser.add_argument("--seed", type=int, default=7, help="draws the queries")
    return parser.parse_args()


def measure(options: argparse.Namespace) -> None:
    """Both sides, the file and the table.

    Raises:
        MissingError: the model or the peer's environment is not there.
        EngineError: a side failed.
    """
    data = collection(options.data)
    *queries, warm_up = lists(data, count=options.queries, depth=options.depth, words=options.words, seed=options.seed)
    pythons = {"peer": str(peer_python()), "ours": sys.executable}
    inputs = {
        "model": resolve(MODEL),
        "template": str(peer_template(options.template)),
        "window": options.window,
        "stride": options.stride,
        "queries": queries,
        "warm_up": warm_up,
        "one_by_one": options.one_by_one,
    }
    repeats = {"peer": options.peer_repeats, "ours": options.repeats}
    sides: dict[str, Any] = {}
    for side in options.order.split(","):
        click.echo(f"{side} runs", err=True)
        answer = run(
            [pythons[side], str(_HERE / f"{side_file(side)}")], inputs | {"repeats": repeats[side]}, variables()
        )
        merge(sides.setdefault(side, {}), answer)
    head = facts(options, sides)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    depths = {query["id"]: len(query["passages"]) for query in queries}
    options.output.write_text(json.dumps({"facts": head, "depths": depths, **sides}, indent=1))
    click.echo("\n".join(f"{key:9} {value}" for key, value in head.items()) + "\n")
    base = {query["id"]: [each["id"] for each in query["passages"]] for query in queries}
    for line in lines(sides["peer"], sides["ours"], data.qrels, base):
        click.echo(line)


def side_file(side: str) -> str:
    """The script of a side."""
    return {"peer": "peer_side.py", "ours": "our_side.py"}[side]


def merge(into: dict[str, Any], answer: dict[str, Any]) -> None:
    """Add a turn of a side to its turns before: single values as lists, lists of runs one behind the other."""
    for key in ("load_seconds", "peak_memory"):
        into.setdefault(key, []).append(answer[key])
    for key in ("versions", "engine"):
        into[key] = answer[key]
    for key in ("runs", "alone"):
        for name, found in answer.get(key, {}).items():
            into.setdefault(key, {}).setdefault(name, []).extend(found)


def facts(options: argparse.Namespace, sides: dict[str, Any]) -> dict[str, str]:
    """What was measured, on what."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    processor = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?"
    )
    settings = {key: value for key, value in vars(options).items() if key not in ("output", "data")}
    return {
        "machine": f"{platform.platform()}, {processor}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"load {os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        **{side: f"{_named(found['versions'])}; {_named(found['engine'])}" for side, found in sides.items()},
        "model": f"{MODEL}, float32, eager, temperature 0",
        "settings": _named(settings),
    }


def _named(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.is_file() else []


if __name__ == "__main__":
    main()
