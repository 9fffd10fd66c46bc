"""A small chart in the terminal, drawn with braille dots: two across and four down in every character."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The dots of a braille character by column and row, as Unicode numbers them from U+2800."""


def chart(points: Sequence[tuple[float, float]], width: int, height: int) -> list[str]:
    """Lines of text, `height` of them, `width` characters wide: points over their range, values on the left."""
    points = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if not points:
        return []
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    labels = {0: f"{high:.3f}", height - 1: f"{low:.3f}"}
    margin = max(map(len, labels.values())) + 1
    columns, rows = 2 * (width - margin) - 1, 4 * height - 1
    cells = [[0] * (width - margin) for _ in range(height)]
    for x, y in points:
        across = round((x - left) / (right - left) * columns) if right > left else 0
        down = round((high - y) / (high - low) * rows) if high > low else rows
        cells[down // 4][across // 2] |= _BITS[across % 2][down % 4]
    return [
        labels.get(row, "").rjust(margin - 1) + " " + "".join(chr(0x2800 + cell) for cell in line)
        for row, line in enumerate(cells)
    ]
