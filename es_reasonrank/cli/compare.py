"""`es-reasonrank compare`: what the logs of a roll-out tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from es_reasonrank.cli import output
from es_reasonrank.cli.options import as_json
from es_reasonrank.evaluation.compare import TOP, Arm, Changes, Comparison, compare
from es_reasonrank.evaluation.preference import Difference, Duel
from es_reasonrank.evaluation.verdict import verdict


@click.command()
@click.argument("logs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="LOG...")
@as_json
def command(logs: tuple[Path, ...], as_json: bool) -> None:
    """Tell what reranking changes, and what users prefer, from the service's logs.

    LOG is a file that `service.rollout.log` names, or what it was rotated to; .gz is unpacked. Clicks are found
    where search and click are in any of the files.
    """
    with output.waiting("reading"):
        comparison = compare(logs)
    sentences = verdict(comparison)
    if as_json:
        output.emit_json(asdict(comparison) | {"verdict": sentences})
        return
    _print_tables(comparison)
    if comparison.broken:
        output.err.print(f"[yellow]{comparison.broken} unreadable lines[/yellow] were left out; the first: ", end="")
        output.err.print(comparison.first_broken, markup=False)
    output.out.print("\n".join(sentences), markup=False)


def _print_tables(comparison: Comparison) -> None:
    if comparison.arms:
        output.out.print(_arms(comparison.arms))
        _gap()
    if comparison.changes:
        output.out.print(_changes(comparison.changes))
        _gap()
    reasons = [[name, why, count] for name, arm in comparison.arms.items() for why, count in arm.reasons.items()]
    if reasons:
        output.out.print(output.table(["arm", "why not all was reranked", "pages"], reasons, right=["pages"]))
        _gap()
    if comparison.interleaving is not None:
        output.out.print(output.facts(_duel(comparison.interleaving), title="Interleaving"))
        _gap()
    if comparison.click_through is not None:
        output.out.print(_difference(comparison))
        _gap()
    if comparison.unplaced:
        output.out.print(f"{comparison.unplaced} clicked pages have no place of their click: no reciprocal rank.")
    if comparison.strays:
        output.out.print(f"{comparison.strays} of {comparison.clicks} clicks name no search of these files.")


def _gap() -> None:
    output.out.print()


def _arms(arms: Mapping[str, Arm]) -> object:
    numbers = ["pages", "users", "with a click", "p50 ms", "p95 ms", "p99 ms"]
    rows = [
        [
            name,
            arm.pages,
            arm.users,
            f"{arm.clicked} ({arm.clicked / arm.pages:.1%})",
            *(_number(value, ".0f") for value in (arm.p50, arm.p95, arm.p99)),
            ", ".join(f"{count} {status}" for status, count in arm.statuses.items()) or "not asked",
        ]
        for name, arm in arms.items()
    ]
    return output.table(["arm", *numbers, "reranking"], rows, right=numbers)


def _changes(changes: Mapping[str, Changes]) -> object:
    numbers = [
        "searches",
        f"top {TOP} changed",
        "other documents in it",
        "other first",
        "overlap",
        "RBO",
        "places moved",
    ]
    rows = [
        [
            name,
            row.searches,
            *(f"{share:.1%}" for share in (row.top_order, row.top_items, row.first, row.overlap)),
            f"{row.rbo:.3f}",
            f"{row.moved:.1f}",
        ]
        for name, row in changes.items()
    ]
    return output.table(["arm", *numbers], rows, right=numbers)


def _duel(duel: Duel) -> dict[str, object]:
    sure = f" (95 % interval {duel.low:.1%} to {duel.high:.1%}, p = {duel.p:.2g})" if duel.p is not None else ""
    return {
        "searches won, lost, tied": f"{duel.won}, {duel.lost}, {duel.tied}",
        "clicks won, lost": f"{duel.clicks_won}, {duel.clicks_lost}",
        "same order on both sides": f"{duel.same}, left out",
        "share won by reranked": _number(duel.share, ".1%") + sure,
    }


def _difference(comparison: Comparison) -> object:
    numbers = ["base", "reranked", "difference", "95 % interval", "p"]
    named = {"click-through": comparison.click_through, "reciprocal rank of first click": comparison.reciprocal_rank}
    rows = [[name, *_cells(found)] for name, found in named.items() if found is not None]
    left_out = f"; {comparison.in_both_arms} saw both arms and are left out" if comparison.in_both_arms else ""
    return output.table(["mean over users", *numbers], rows, title=f"Two arms{left_out}", right=numbers)


def _cells(found: Difference) -> list[str]:
    interval = "-" if found.low is None else f"{found.low:+.4f} to {found.high:+.4f}"
    values = [f"{found.base:.4f}", f"{found.reranked:.4f}", f"{found.difference:+.4f}"]
    return [*values, interval, _number(found.p, ".2g")]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
