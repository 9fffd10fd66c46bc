"""Charts as inline SVG."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotps.report.svg import Chart, span, ticks

_FINITE = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.floats(-1e3, 1e3), st.floats(1e-6, 1e6))
def test_ticks_are_round_evenly_spaced_and_inside(place: float, width: float) -> None:
    low = place * width
    found = [value for value, _ in ticks((low, low + width))]
    assert 2 <= len(found) <= 13
    assert low - 1e-6 * width <= found[0]
    assert found[-1] <= low + width * (1 + 1e-6)
    np.testing.assert_allclose(np.diff(found), found[1] - found[0], rtol=1e-6)
    assert f"{found[1] - found[0]:.0e}"[0] in "125"


def test_ticks_are_written_with_as_many_digits_as_they_need() -> None:
    assert [name for _, name in ticks((-0.02, 0.031))] == ["−0.02", "−0.01", "0.00", "0.01", "0.02", "0.03"]
    assert [name for _, name in ticks((0, 300))] == ["0", "50", "100", "150", "200", "250", "300"]


@given(st.lists(st.one_of(_FINITE, st.just(np.nan), st.just(np.inf))))
def test_a_span_holds_every_finite_value_and_has_a_width(values: list[float]) -> None:
    low, high = span(values)
    assert low < high
    assert all(low <= value <= high for value in values if np.isfinite(value))


def _chart() -> Chart:
    return Chart((0, 10), (0, 1), title="How <fast>?", description="a & b", x_label="t", y_label="v")


def test_a_chart_is_well_formed_named_and_described_whatever_it_is_called() -> None:
    root = ElementTree.fromstring(_chart().svg())
    named = {element.get("id"): element.text for element in root if element.get("id")}
    assert [named[name] for name in str(root.get("aria-labelledby")).split()] == ["How <fast>?", "a & b"]
    assert root.get("role") == "img"


def test_points_lie_where_the_axes_say() -> None:
    chart = _chart()
    (left, bottom), (right, top) = chart.place(0, 0), chart.place(10, 1)
    assert chart.place(5, 0.25) == pytest.approx(((left + right) / 2, bottom - (bottom - top) / 4))


def test_what_is_not_finite_is_left_out_and_breaks_a_line() -> None:
    chart = _chart()
    chart.line([0, 1, 2, 3, 4], [0.1, 0.2, np.nan, 0.3, 0.4], "main")
    chart.dots([0, 1, 2], [0.1, np.nan, 0.2], "trial")
    chart.interval(3, -np.inf, np.inf, "main")
    text = chart.svg()
    (path,) = re.findall(r'class="line main" d="(M[^"]*L[^"]*)"', text)
    assert path.count("M") == 2
    assert text.count("<circle") == 2
    assert "nan" not in text
    assert "inf" not in text
