"""Pictures of a run."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper_controller.simulation.plots import HEIGHT, MAX_POINTS, WIDTH, Curve, Plot, nice_step, svg, thinned

SVG = "{http://www.w3.org/2000/svg}"


def curve(*points, name="a"):
    time_s, values = zip(*points, strict=True) if points else ((), ())
    return Curve(name=name, time_s=np.array(time_s, dtype=float), values=np.array(values, dtype=float))


def picture(*curves, title="Title", end_s=100.0):
    return ET.fromstring(svg(Plot(title=title, axis="VMs", curves=curves, end_s=end_s)))


def texts(root):
    return [element.text for element in root.iter(f"{SVG}text")]


def test_a_picture_has_a_title_a_legend_and_axes_with_units():
    shown = texts(picture(curve((0, 0), (7200, 3)), end_s=7200))

    assert shown[:2] == ["Title", "a"]
    assert {"VMs", "virtual time, min", "0", "3", "100"} <= set(shown)


def test_text_never_becomes_markup_and_what_xml_cannot_carry_is_replaced():
    root = picture(curve((0, 1)), title="</text><script>\x00\x1b&" + "x" * 300)

    assert [element.tag for element in root.iter(f"{SVG}script")] == []
    assert texts(root)[0].startswith("</text><script>??&xxx")
    assert len(texts(root)[0]) < 90


def test_a_curve_goes_up_and_down_in_steps_and_holds_until_the_end():
    (path,) = picture(curve((0, 0), (50, 1))).iter(f"{SVG}path")

    assert re.sub(r"[\d.]+", "n", path.get("d")) == "Mn,nHnVnHn"


def test_a_picture_of_nothing_is_a_picture():
    assert [path.get("d") for path in picture(curve(), end_s=0.0).iter(f"{SVG}path")] == [""]


def test_both_light_and_dark_have_their_colours():
    style = picture(curve((0, 1))).find(f"{SVG}style").text

    assert "prefers-color-scheme: dark" in style


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1, max_size=50))
def test_no_point_lies_outside_the_picture(points):
    points.sort()
    (path,) = picture(curve(*points), end_s=points[-1][0]).iter(f"{SVG}path")
    numbers = re.findall(r"([HV])([\d.-]+)", path.get("d"))

    assert all(0 <= float(number) <= (WIDTH if axis == "H" else HEIGHT) for axis, number in numbers)


@pytest.mark.parametrize("count", [1, MAX_POINTS, MAX_POINTS + 1, 50_000])
def test_a_long_curve_keeps_its_peaks_in_few_points(count):
    time_s, values = np.arange(count, dtype=float), np.zeros(count)
    values[count // 3] = 7.0
    values[count // 2] = -7.0
    kept_s, kept = thinned(time_s, values)

    assert len(kept) == len(kept_s) <= MAX_POINTS
    assert (kept.max(), kept.min()) == (values.max(), values.min())
    assert (np.diff(kept_s) > 0).all()


@pytest.mark.parametrize(("least", "step"), [(1, 1), (1.1, 2), (3, 5), (7, 10), (0.03, 0.05), (183.3, 200), (1e6, 1e6)])
def test_axes_count_in_round_numbers(least, step):
    assert nice_step(least) == pytest.approx(step)
