"""Draws the README's charts as SVG, light and dark: `python -m bench.charts bench/results/….json`."""

import json
import sys
from html import escape
from pathlib import Path
from typing import NamedTuple

IMAGES = Path(__file__).resolve().parent.parent / "docs/images"


class Theme(NamedTuple):
    ink: str
    soft: str
    bar: str
    accent: str


THEMES = {
    "light": Theme(ink="#1f2124", soft="#5c5f66", bar="#d0cac0", accent="#1c7466"),
    "dark": Theme(ink="#ecebe8", soft="#9c9ea4", bar="#4a4b50", accent="#4db8a4"),
}


class Chart(NamedTuple):
    figure: str
    title: str
    note: str
    unit: str = ""
    digits: int = 0


MORE, LESS = "more is better", "less is better"
CHARTS = {
    "fanout": Chart("deliveries_per_s", "Messages delivered a second", f"500 people in a room · {MORE}"),
    "crowd": Chart("deliveries_per_s", "Messages delivered a second", f"3,000 people in a room · {MORE}"),
    "direct": Chart("deliveries_per_s", "Direct messages a second", f"3,000 people connected · {MORE}"),
    "paced": Chart(
        "p99_ms", "99 of 100 messages arrive within", f"50,000 deliveries a second · {LESS}", " ms", 1
    ),
    "idle": Chart(
        "kb_per_conn", "Memory of an idle connection", f"5,000 people connected · {LESS}", " KB", 1
    ),
    "connect": Chart("connect_per_s", "Connections a second", f"one core, each with its token · {MORE}"),
}
WIDTH, LABELS, VALUES = 760, 210, 90
TOP, ROW, BAR, BOTTOM = 66, 34, 20, 30
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


class Bar(NamedTuple):
    label: str
    value: float
    ours: bool


def draw(chart, bars, footer, theme):
    """Return the chart as SVG: one bar per server with its value; ours is highlighted."""
    height = TOP + ROW * len(bars) + BOTTOM
    most = max(bar.value for bar in bars) or 1
    described = "; ".join(f"{bar.label}: {formatted(chart, bar.value)}" for bar in bars)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-labelledby="t d" font-family="{FONT}">',
        f'<title id="t">{escape(chart.title)}</title><desc id="d">{escape(described)}</desc>',
        text(0, 22, chart.title, theme.ink, size=18, weight=600),
        text(0, 44, chart.note, theme.soft),
        *(row(chart, bar, TOP + ROW * place, most, theme) for place, bar in enumerate(bars)),
        text(0, height - 8, footer, theme.soft, size=12),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def row(chart, bar, top, most, theme):
    width = max(1.5, (WIDTH - LABELS - VALUES) * bar.value / most)
    colour, weight = (theme.accent, 600) if bar.ours else (theme.bar, 400)
    middle = top + BAR / 2 + 5
    return "\n".join(
        (
            text(LABELS - 12, middle, bar.label, theme.ink, weight=weight, anchor="end"),
            f'<rect x="{LABELS}" y="{top}" width="{width:.1f}" height="{BAR}" rx="3" fill="{colour}"/>',
            text(LABELS + width + 8, middle, formatted(chart, bar.value), theme.ink, weight=weight),
        )
    )


def text(x, y, words, colour, size=14, weight=400, anchor="start"):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{colour}">{escape(words)}</text>'
    )


def formatted(chart, value):
    return f"{value:,.{chart.digits}f}{chart.unit}"


def bars_of(chart, medians, titles):
    """Return a bar for each server that has the figure, the best first."""
    bars = [
        Bar(titles[name], row[chart.figure], name.startswith("ours"))
        for name, row in medians.items()
        if row.get(chart.figure) is not None
    ]
    return sorted(bars, key=lambda bar: bar.value, reverse=chart.note.endswith(MORE))


def draw_all(kept, folder=IMAGES):
    """Draw every scenario of a result that has a chart, in both themes; return the files."""
    machine, files = kept["machine"], []
    footer = (
        f"Median of {kept['rounds']} rounds, {kept['made'][:10]} · {machine['cpu']}, one core for the server, "
        "one for the load · make bench"
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name, chart in CHARTS.items():
        bars = bars_of(chart, kept["scenarios"].get(name, {}).get("medians", {}), kept["titles"])
        for look, theme in THEMES.items() if bars else ():
            files.append(folder / f"bench-{name}-{look}.svg")
            files[-1].write_text(draw(chart, bars, footer, theme))
    return files


if __name__ == "__main__":
    for file in draw_all(json.loads(Path(sys.argv[1]).read_text())):
        print(file)
