"""Plots as SVG, drawn here: lines over steps, and bars of shares. Colours come from the page's style."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

from trainer.report.metrics import Curve

_WIDTH, _HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 12, 40
_COLOURS = 8
_MARKED = 40
"""Curves of so few points show them."""


def line_plot(name: str, title: str, description: str, curves: Mapping[str, Curve]) -> str:
    """Curves over steps, in one frame.

    Args:
        name: by which the page knows it, and no other plot.
    """
    steps = [step for curve in curves.values() for step, _ in curve]
    values = [value for curve in curves.values() for _, value in curve]
    across, up = ticks(min(steps), max(steps)), ticks(min(values), max(values))
    x = _scale(min(steps), max(steps), _LEFT, _WIDTH - _RIGHT)
    y = _scale(up[0], up[-1], _HEIGHT - _BOTTOM, _TOP)
    marks = [
        *(_line("grid", _LEFT, y(at), _WIDTH - _RIGHT, y(at)) for at in up),
        *(_text("end", _LEFT - 8, y(at) + 4, f"{at:g}") for at in up),
        *(
            _text("middle", x(at), _HEIGHT - 20, f"{at:g}")
            for at in across
            if min(steps) <= at <= max(steps) and at == int(at)
        ),
        _text("middle", (_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 3, "step"),
    ]
    for number, curve in enumerate(curves.values()):
        marks.append(_curve(number, [(x(step), y(value)) for step, value in curve]))
    return _svg(name, title, description, _WIDTH, _HEIGHT, marks)


def bar_plot(name: str, title: str, description: str, bars: Mapping[str, Sequence[float]], parts: Sequence[str]) -> str:
    """A bar for each label, made of parts; all are on one scale."""
    row, left = 30, 170
    most = max((sum(values) for values in bars.values()), default=0) or 1
    x = _scale(0, most, left, _WIDTH - 70)
    marks = []
    for line, (text, values) in enumerate(bars.items()):
        top, start = 6 + line * row, 0.0
        marks.append(_text("end", left - 10, top + 15, _cut(text, 24)))
        for number, (part, value) in enumerate(zip(parts, values, strict=True)):
            width = x(start + value) - x(start)
            label = escape(f"{text}: {value:g} {part}")
            marks.append(
                f'<rect class="fill c{number % _COLOURS}" x="{x(start):.1f}" y="{top}" width="{width:.1f}" '
                f'height="20"><title>{label}</title></rect>'
            )
            start += value
        marks.append(_text("start", x(start) + 8, top + 15, f"{start:g}"))
    return _svg(name, title, description, _WIDTH, 12 + row * len(bars), marks)


def legend(names: Sequence[str], *, lines: bool = True) -> str:
    """What is drawn in which colour; lines differ in their dashes as well."""
    swatch = (
        '<svg class="swatch" viewBox="0 0 24 10" aria-hidden="true"><path class="line c{0} d{0}" d="M0 5H24"/></svg>'
        if lines
        else '<svg class="swatch" viewBox="0 0 24 10" aria-hidden="true"><rect class="fill c{0}" width="24" '
        'height="10"/></svg>'
    )
    items = (
        f"<li>{swatch.format(number % _COLOURS)}<span>{escape(name)}</span></li>" for number, name in enumerate(names)
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round numbers that reach from at most `low` to at least `high`, in steps of 1, 2 or 5 times a power of 10."""
    size = max(abs(low), abs(high))
    size = size if size > 1e-300 else 1.0
    if high - low <= 1e-9 * size:
        low, high = low - size / 2, high + size / 2
    rough = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Values from `low` to `high` as places from `start` to `end`; where there is but one value, the middle."""
    if high <= low:
        return lambda value: (start + end) / 2
    return lambda value: start + (value - low) * (end - start) / (high - low)


def _curve(number: int, points: Sequence[tuple[float, float]]) -> str:
    colour = number % _COLOURS
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dots = "".join(f'<circle class="fill c{colour}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in points)
    return f'<path class="line c{colour} d{colour}" d="{path}"/>' + (dots if len(points) <= _MARKED else "")


def _svg(name: str, title: str, description: str, width: float, height: float, marks: Sequence[str]) -> str:
    """The frame, with a title and a description for those who do not see it."""
    return (
        f'<svg class="plot" viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="{name} {name}-more">'
        f'<title id="{name}">{escape(title)}</title><desc id="{name}-more">{escape(description)}</desc>'
        f"{''.join(marks)}</svg>"
    )


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path class="{kind}" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'


def _text(anchor: str, x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
