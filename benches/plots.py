# SPDX-License-Identifier: MIT
"""plots.py - SVG pictures of benchmark results, by the standard library alone.

bars() draws blocks of horizontal bars, one block a case: everybody's figure as a multiple of weft's, cut where it
would leave the picture, with the figure itself written at the end. lines() draws speed-up over workers."""
import html

COLOURS = {
    "weft": "#1b6ca8",
    "tbb": "#c8553d",
    "boost.fiber": "#8a6d3b",
    "libuv": "#6b8e23",
    "go": "#3aa6a0",
    "tokio": "#b07aa1",
    "tokio.current": "#8f5a7f",
    "asyncio": "#9a9a9a",
    "uvloop": "#c7b446",
}
OTHER = "#bbbbbb"
LIMIT = 6.0  # times weft's, where bars are cut


def number(value):
    """Three significant digits, without an exponent."""
    if value >= 1e6:
        return f"{value / 1e6:.3g}M"
    if value >= 1e4:
        return f"{value / 1e3:.3g}k"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def text(x, y, content, size=12, anchor="start", weight="normal", fill="#222"):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'font-weight="{weight}" fill="{fill}">{html.escape(content)}</text>'
    )


def frame(width, height, parts):
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" font-family="sans-serif">',
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def bar(y, label, value, ours, unit):
    left, room, thick = 130, 440, 13
    share = min(value / ours, LIMIT) / LIMIT if ours > 0 else 0
    length = max(share * room, 1)
    colour = COLOURS.get(label, OTHER)
    parts = [
        text(left - 8, y + 10.5, label, 11, "end", "bold" if label == "weft" else "normal"),
        f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{thick}" fill="{colour}"/>',
    ]
    is_cut = ours > 0 and value / ours > LIMIT
    if is_cut:  # two white strokes through the bar's end
        for x in (left + length - 16, left + length - 10):
            parts.append(f'<path d="M{x:.1f} {y - 1} l-5 {thick + 2}" stroke="#fff" stroke-width="3"/>')
    times = f"  ({value / ours:.3g}x)" if ours > 0 and label != "weft" else ""
    parts.append(text(left + length + 6, y + 10.5, f"{number(value)} {unit}{times}", 11))
    return parts


def bars(title, blocks):
    """blocks: (caption, unit, [(label, value)...], of which the first is weft's)."""
    parts = [text(12, 24, title, 16, weight="bold")]
    y = 44
    for caption, unit, values in blocks:
        parts.append(text(12, y + 8, caption, 13, weight="bold"))
        y += 16
        for label, value in values:
            parts += bar(y, label, value, values[0][1], unit)
            y += 17
        y += 12
    return frame(760, y + 4, parts)


def panel(x, y, title, most, series):
    """series: {label: [(workers, speed-up)...]}; both axes to `most`."""
    size = 190
    workers = sorted({at for points in series.values() for at, _ in points})
    parts = [
        text(x, y - 10, title, 13, weight="bold"),
        f'<path d="M{x} {y} v{size} h{size}" fill="none" stroke="#444"/>',
    ]

    def place(index, value):
        step = size / max(len(workers) - 1, 1)
        return x + index * step, y + size - value / most * size

    for i, count in enumerate(workers):
        parts.append(text(place(i, 0)[0], y + size + 15, str(count), 11, "middle"))
    parts.append(text(x + size, y + size + 30, "workers", 11, "end", fill="#666"))
    for value in range(1, int(most) + 1):
        at = place(0, value)[1]
        parts.append(f'<path d="M{x} {at:.1f} h{size}" stroke="#ddd"/>')
        parts.append(text(x - 6, at + 4, str(value), 11, "end"))
    for label, points in series.items():
        spots = [place(workers.index(at), min(value, most)) for at, value in points]
        line = " ".join(f"{px:.1f},{py:.1f}" for px, py in spots)
        colour = COLOURS.get(label, OTHER)
        wide = 3 if label == "weft" else 1.5
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="{wide}"/>')
        parts += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>' for px, py in spots]
    return parts


def lines(title, panels, most):
    """panels: (caption, {label: [(workers, speed-up)...]})."""
    parts = [text(12, 24, title, 16, weight="bold")]
    labels = []
    for i, (caption, series) in enumerate(panels):
        parts += panel(40 + i % 3 * 240, 70 + i // 3 * 260, caption, most, series)
        labels += [label for label in series if label not in labels]
    bottom = 70 + (len(panels) + 2) // 3 * 260 - 20
    for i, label in enumerate(labels):
        x = 40 + i * 100
        parts.append(f'<rect x="{x}" y="{bottom}" width="14" height="8" fill="{COLOURS.get(label, OTHER)}"/>')
        parts.append(text(x + 20, bottom + 8, label, 12))
    return frame(760, bottom + 24, parts)
