"""`es-reasonrank evaluate`: measure runs against judgments."""

from __future__ import annotations

from pathlib import Path

import click

from es_reasonrank.cli import output
from es_reasonrank.cli.options import as_json
from es_reasonrank.evaluation.measures import DEFAULT, Measured, measure, paired_p
from es_reasonrank.evaluation.runs import read_qrels, read_run, scores_of


@click.command()
@click.option(
    "--qrels", required=True, type=click.Path(path_type=Path), metavar="FILE", help="Judgments: TREC or BEIR form."
)
@click.option(
    "--run",
    "runs",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TREC run; may be repeated.",
)
@click.option("--measure", "measures", multiple=True, metavar="NAME", help=f"Measure; by default {', '.join(DEFAULT)}.")
@click.option("--by-query", is_flag=True, help="Also print every query's values.")
@as_json
def command(qrels: Path, runs: tuple[Path, ...], measures: tuple[str, ...], by_query: bool, as_json: bool) -> None:
    """Measure runs against judgments.

    With several runs, p is that of a paired t-test of the first measure against the first run.
    """
    judged = read_qrels(qrels)
    names = measures or DEFAULT
    measured = {str(path): measure(judged, scores_of(read_run(path)), names) for path in runs}
    first = next(iter(measured.values()))
    rows = [
        {"run": path, **values.means, "queries": len(judged), "p": _p(first, values)}
        for path, values in measured.items()
    ]
    if as_json:
        details = [{"by_query": values.by_query} if by_query else {} for values in measured.values()]
        output.emit_json([row | detail for row, detail in zip(rows, details, strict=True)])
        return
    cells = [[_cell(name, value) for name, value in row.items()] for row in rows]
    output.out.print(output.table(list(rows[0]), cells, right=list(rows[0])[1:]))
    if by_query:
        for path, values in measured.items():
            _print_queries(path, values)


def _p(first: Measured, values: Measured) -> float | None:
    name = next(iter(first.means))
    return None if values is first else paired_p(first.by_query[name], values.by_query[name])


def _cell(name: str, value: object) -> str:
    if isinstance(value, float):
        return "<0.0001" if name == "p" and value < 0.0001 else f"{value:.4f}"
    return "-" if value is None else str(value)


def _print_queries(path: str, values: Measured) -> None:
    names = list(values.means)
    queries = sorted(next(iter(values.by_query.values())))
    rows = [[query, *(f"{values.by_query[name][query]:.4f}" for name in names)] for query in queries]
    output.out.print(output.table(["query", *names], rows, title=path, right=names))
