"""Plots of a run as SVG: a step for each change, axes with units, readable on light and on dark.

Elements are made by an element API, so that no text becomes markup; nothing is written here.
"""

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Final

import numpy as np

from innkeeper_controller.simulation.traces import Floats
from innkeeper_plugins.vocabulary import Value

WIDTH, HEIGHT = 800, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 16, 56, 48
#: Points of a curve; each bucket of time keeps its lowest and its highest.
MAX_POINTS: Final = 1000
_TICKS: Final = 6
_TITLE_CHARS: Final = 84
#: ``(longest span in it, seconds, word)``
_UNITS: Final = ((600, 1, "s"), (36_000, 60, "min"), (864_000, 3600, "h"), (math.inf, 86_400, "days"))
#: Told apart by who sees no colours too: by the dashes.
_STYLE: Final = """
.paper { fill: #ffffff } text { fill: #24292f; font: 12px sans-serif } .title { font-size: 15px; font-weight: bold }
.grid { stroke: #d0d7de } .axis { stroke: #57606a } path, .key { fill: none; stroke-width: 1.5 }
.c0 { stroke: #0969da } .c1 { stroke: #bc4c00; stroke-dasharray: 7 2 } .c2 { stroke: #57606a; stroke-dasharray: 2 3 }
@media (prefers-color-scheme: dark) {
.paper { fill: #0d1117 } text { fill: #e6edf3 } .grid { stroke: #30363d } .axis { stroke: #8b949e }
.c0 { stroke: #58a6ff } .c1 { stroke: #f0883e } .c2 { stroke: #8b949e } }
"""


class Curve(Value):
    """One curve: its value holds from each moment to the next."""

    name: str
    time_s: Floats
    values: Floats


class Plot(Value):
    """What one picture shows."""

    title: str
    #: Of the vertical axis, with its unit.
    axis: str
    curves: tuple[Curve, ...]
    #: From the first moment to this one, seconds of the trace.
    end_s: float
    #: The vertical axis goes at least to here.
    at_least: float = 1.0


def svg(plot: Plot) -> str:
    """Return the picture as the text of an SVG file."""
    begin_s = min((float(curve.time_s[0]) for curve in plot.curves if len(curve.time_s)), default=plot.end_s)
    span_s = max(plot.end_s - begin_s, 1.0)
    highest = max(plot.at_least, *(float(curve.values.max(initial=0.0)) for curve in plot.curves))
    step = nice_step(highest / _TICKS)
    top = step * math.ceil(highest / step * (1 - 1e-9))
    root = ET.Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img")
    ET.SubElement(root, "title").text = _shown(plot.title)
    ET.SubElement(root, "style").text = _STYLE
    ET.SubElement(root, "rect", {"class": "paper", "width": str(WIDTH), "height": str(HEIGHT)})
    _text(root, _shown(plot.title), _LEFT, 22, "title")
    _legend(root, plot.curves)
    _vertical_axis(root, plot.axis, step, top)
    _time_axis(root, span_s)
    for number, curve in enumerate(plot.curves):
        points = thinned(curve.time_s - begin_s, curve.values)
        ET.SubElement(root, "path", {"class": f"c{number}", "d": _steps(*points, span_s, top)})
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def nice_step(at_least: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20... (and of 0.1, 0.2...) that is no less."""
    power = 10.0 ** math.floor(math.log10(at_least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= at_least * (1 - 1e-9))


def thinned(time_s: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Return at most ``MAX_POINTS`` of the points: in each stretch of time the lowest and the highest."""
    if len(values) <= MAX_POINTS:
        return time_s, values
    edges = np.linspace(time_s[0], time_s[-1], MAX_POINTS // 2 + 1)[1:-1]
    stretches = np.split(np.arange(len(values)), np.searchsorted(time_s, edges))
    kept = sorted(
        {
            int(stretch[at])
            for stretch in stretches
            if len(stretch)
            for at in (values[stretch].argmin(), values[stretch].argmax())
        }
    )
    return time_s[kept], values[kept]


def _shown(text: str) -> str:
    """Return no more than there is place for, without what XML cannot carry: names of files can have anything."""
    plain = "".join(char if char.isprintable() and not 0xFFFD < ord(char) < 0x10000 else "?" for char in text)  # noqa: PLR2004 - not in XML
    return plain if len(plain) <= _TITLE_CHARS else f"{plain[: _TITLE_CHARS - 3]}..."


def _steps(time_s: Floats, values: Floats, span_s: float, top: float) -> str:
    if not len(values):
        return ""
    across = [f"{_across(float(moment_s), span_s):.1f}" for moment_s in time_s]
    up = [f"{_up(float(value), top):.1f}" for value in values]
    steps = "".join(f"H{x}V{y}" for x, y in zip(across[1:], up[1:], strict=True))
    return f"M{across[0]},{up[0]}{steps}H{WIDTH - _RIGHT}"


def _across(moment_s: float, span_s: float) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * moment_s / span_s


def _up(value: float, top: float) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / top


def _vertical_axis(root: ET.Element, title: str, step: float, top: float) -> None:
    for number in range(round(top / step) + 1):
        y = _up(number * step, top)
        _line(root, "axis" if not number else "grid", _LEFT, y, WIDTH - _RIGHT, y)
        _text(root, f"{number * step:,.10g}", _LEFT - 8, y + 4, anchor="end")
    middle = (_TOP + HEIGHT - _BOTTOM) / 2
    _text(root, title, 16, middle, anchor="middle", transform=f"rotate(-90 16 {middle:g})")


def _time_axis(root: ET.Element, span_s: float) -> None:
    unit_s, unit = next((unit_s, unit) for longest_s, unit_s, unit in _UNITS if span_s <= longest_s)
    step = nice_step(span_s / unit_s / (2 * _TICKS))
    bottom = HEIGHT - _BOTTOM
    for number in range(int(span_s / unit_s / step * (1 + 1e-9)) + 1):
        x = _across(number * step * unit_s, span_s)
        _line(root, "axis", x, bottom, x, bottom + 5)
        _text(root, f"{number * step:,.10g}", x, bottom + 19, anchor="middle")
    _text(root, f"virtual time, {unit}", (_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 10, anchor="middle")


def _legend(root: ET.Element, curves: Sequence[Curve]) -> None:
    x = float(_LEFT)
    for number, curve in enumerate(curves):
        _line(root, f"key c{number}", x, 38, x + 24, 38)
        _text(root, curve.name, x + 30, 42)
        # About what the letters take; no font is at hand to ask.
        x += 54 + 6.5 * len(curve.name)


def _line(root: ET.Element, style: str, *ends: float) -> None:
    places = dict(zip(("x1", "y1", "x2", "y2"), (f"{end:.1f}" for end in ends), strict=True))
    ET.SubElement(root, "line", {"class": style, **places})


def _text(root: ET.Element, text: str, x: float, y: float, style: str = "", **more: str) -> None:
    names = {"anchor": "text-anchor"}
    attributes = {"x": f"{x:.1f}", "y": f"{y:.1f}", **{names.get(name, name): value for name, value in more.items()}}
    ET.SubElement(root, "text", {**({"class": style} if style else {}), **attributes}).text = text
