"""Charts as inline SVG: a page's style sheet colours them, so that they follow dark mode and print.

Classes used: `axis`, `grid`, `tick`, `label`, and whatever class a caller gives its marks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from itertools import count

from robotps.parameters import FloatArray

Numbers = Sequence[float] | FloatArray
Span = tuple[float, float]

_identifiers = count(1)


class Chart:
    """A frame with two linear axes to draw into, in data coordinates; sizes in px of the view box.

    title and description are what a screen reader says in place of the picture.
    """

    def __init__(
        self,
        x: Span,
        y: Span,
        *,
        title: str,
        description: str = "",
        x_label: str = "",
        y_label: str = "",
        size: tuple[float, float] = (720, 330),
        x_ticks: Sequence[tuple[float, str]] | None = None,
        y_ticks: Sequence[tuple[float, str]] | None = None,
        left: float = 58,
        few_ticks: bool = False,
    ) -> None:
        self._x, self._y = x, y
        self._width, self._height = size
        self._left, self._right, self._top, self._bottom = left, 14.0, 12.0, 42.0 if x_label else 24.0
        self._title, self._description = title, description
        self._axes: list[str] = []
        self._marks: list[str] = []
        about = 3 if few_ticks else 6
        self._draw_axes(
            ticks(x, about) if x_ticks is None else x_ticks, ticks(y, about) if y_ticks is None else y_ticks
        )
        if x_label:
            middle = (self._left + self._width - self._right) / 2
            self._axes.append(_text(middle, self._height - 6, x_label, "label", "middle"))
        if y_label:
            self._axes.append(
                _text(0, 0, y_label, "label", "middle", f"translate(13 {self._middle_y:.0f}) rotate(-90)")
            )

    @property
    def _middle_y(self) -> float:
        return (self._top + self._height - self._bottom) / 2

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the data lies in the view box."""
        across = (x - self._x[0]) / (self._x[1] - self._x[0])
        up = (y - self._y[0]) / (self._y[1] - self._y[0])
        inner_width = self._width - self._left - self._right
        inner_height = self._height - self._top - self._bottom
        return self._left + across * inner_width, self._height - self._bottom - up * inner_height

    def _draw_axes(self, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]]) -> None:
        left, right = self._left, self._width - self._right
        floor = self._height - self._bottom
        for value, name in y_ticks:
            _, y = self.place(self._x[0], value)
            self._axes.append(f'<path class="grid" d="M{left:.1f} {y:.1f}H{right:.1f}"/>')
            self._axes.append(_text(left - 7, y + 4, name, "tick", "end"))
        for value, name in x_ticks:
            x, _ = self.place(value, self._y[0])
            self._axes.append(f'<path class="axis" d="M{x:.1f} {floor:.1f}v4"/>')
            self._axes.append(_text(x, floor + 17, name, "tick", "middle"))
        self._axes.append(f'<path class="axis" d="M{left:.1f} {floor:.1f}H{right:.1f}"/>')

    def line(self, xs: Numbers, ys: Numbers, style: str, closed: bool = False) -> None:
        """A line through points; it breaks where one is not finite."""
        self._marks.append(f'<path class="line {style}" d="{self._path(zip(xs, ys, strict=True), closed)}"/>')

    def band(self, xs: Numbers, lows: Numbers, highs: Numbers, style: str) -> None:
        """The area between two lines."""
        there = list(zip(xs, highs, strict=True))
        back = list(zip(xs, lows, strict=True))[::-1]
        self._marks.append(f'<path class="band {style}" d="{self._path([*there, *back], True)}"/>')

    def dots(self, xs: Numbers, ys: Numbers, style: str, names: Iterable[str] | None = None, radius: float = 2) -> None:
        """A dot for every point that is finite, with a name to be read when pointed at."""
        for x, y, name in zip(xs, ys, names or [""] * len(xs), strict=True):
            if math.isfinite(x) and math.isfinite(y):
                across, down = self.place(x, y)
                hint = f"><title>{escape(name)}</title></circle>" if name else "/>"
                self._marks.append(f'<circle class="{style}" cx="{across:.1f}" cy="{down:.1f}" r="{radius:g}"{hint}')

    def interval(self, x: float, low: float, high: float, style: str) -> None:
        """An upright interval with caps; one without bounds ends at the frame."""
        across, bottom = self.place(x, max(low, self._y[0]))
        _, top = self.place(x, min(high, self._y[1]))
        caps = f"M{across - 4:.1f} {top:.1f}h8M{across - 4:.1f} {bottom:.1f}h8"
        self._marks.append(f'<path class="line {style}" d="M{across:.1f} {bottom:.1f}V{top:.1f}{caps}"/>')

    def interval_across(self, y: float, low: float, high: float, style: str) -> None:
        """A level interval with caps; one without bounds ends at the frame."""
        left, down = self.place(max(low, self._x[0]), y)
        right, _ = self.place(min(high, self._x[1]), y)
        caps = f"M{left:.1f} {down - 4:.1f}v8M{right:.1f} {down - 4:.1f}v8"
        self._marks.append(f'<path class="line {style}" d="M{left:.1f} {down:.1f}H{right:.1f}{caps}"/>')

    def bar(self, left: float, right: float, y: float, thickness: float, style: str) -> None:
        """A level bar, `thickness` px high."""
        (start, down), (end, _) = self.place(left, y), self.place(right, y)
        self._marks.append(
            f'<rect class="{style}" x="{start:.1f}" y="{down - thickness / 2:.1f}" '
            f'width="{max(end - start, 0):.1f}" height="{thickness:.1f}"/>'
        )

    def level(self, y: float, style: str) -> None:
        """A line across the frame."""
        (left, down), (right, _) = self.place(self._x[0], y), self.place(self._x[1], y)
        self._marks.append(f'<path class="line {style}" d="M{left:.1f} {down:.1f}H{right:.1f}"/>')

    def upright(self, x: float, style: str) -> None:
        """A line up the frame."""
        (across, bottom), (_, top) = self.place(x, self._y[0]), self.place(x, self._y[1])
        self._marks.append(f'<path class="line {style}" d="M{across:.1f} {bottom:.1f}V{top:.1f}"/>')

    def text(self, x: float, y: float, words: str, style: str, anchor: str = "start", shift: Span = (0, 0)) -> None:
        """Words at a point, moved by `shift` px (right, down)."""
        across, down = self.place(x, y)
        self._marks.append(_text(across + shift[0], down + shift[1], words, style, anchor))

    def svg(self) -> str:
        """The chart as an SVG element."""
        number = next(_identifiers)
        described = f'<desc id="d{number}">{escape(self._description)}</desc>' if self._description else ""
        labels = f"t{number} d{number}" if described else f"t{number}"
        return (
            f'<svg class="chart" role="img" aria-labelledby="{labels}" '
            f'viewBox="0 0 {self._width:g} {self._height:g}">'
            f'<title id="t{number}">{escape(self._title)}</title>{described}'
            f"{''.join(self._axes)}{''.join(self._marks)}</svg>"
        )

    def _path(self, points: Iterable[tuple[float, float]], closed: bool) -> str:
        steps, begun = [], False
        for x, y in points:
            if not (math.isfinite(x) and math.isfinite(y)):
                begun = False
                continue
            across, down = self.place(x, y)
            steps.append(f"{'L' if begun else 'M'}{across:.1f} {down:.1f}")
            begun = True
        return "".join(steps) + ("Z" if closed and steps else "")


def _text(x: float, y: float, words: str, style: str, anchor: str, transform: str = "") -> str:
    turned = f' transform="{transform}"' if transform else ""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turned}>{escape(words)}</text>'


def span(values: Iterable[float], *, margin: float = 0.06, include: Iterable[float] = ()) -> Span:
    """The range that shows all finite values, with some room; (0, 1) where there is none."""
    finite = [float(value) for value in (*values, *include) if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    room = margin * (high - low) or margin * abs(high) or 1.0
    return low - room, high + room


def ticks(over: Span, about: int = 6) -> list[tuple[float, str]]:
    """Round values within a range, and how to write them: steps of 1, 2 or 5 times a power of ten."""
    rough = (over[1] - over[0]) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(over[0] / step - 1e-9), math.floor(over[1] / step + 1e-9)
    return [
        (number * step, f"{number * step:.{digits}f}".replace("-", "\N{MINUS SIGN}"))
        for number in range(first, last + 1)
    ]
