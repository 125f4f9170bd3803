"""The picture beside the tables: requests a second of each server as bars, written as SVG text."""

from collections.abc import Sequence
from html import escape

from benchmarks.figures import Session, spread_of
from benchmarks.results import HEADLINE_CONNECTIONS, HEADLINE_LOAD, point_at

_WIDTH, _ROW_HEIGHT, _LEFT, _RIGHT, _TOP = 720, 30, 190, 90, 44
_OURS, _OTHERS, _INK = "#2457c5", "#9aa5b1", "#1f2933"


def bars_of(session: Session) -> list[tuple[str, float]]:
    """Title and median requests a second of each server that was measured, fastest first."""
    bars = []
    for server in session.servers:
        point = point_at(server, HEADLINE_LOAD, HEADLINE_CONNECTIONS)
        if point:
            bars.append((server.title, spread_of(point, lambda run: run.requests_per_second).median))
    return sorted(bars, key=lambda bar: -bar[1])


def drawn(bars: Sequence[tuple[str, float]], ours: str = "Digits") -> str:
    """An SVG document; the bar titled `ours` stands out."""
    height = _TOP + _ROW_HEIGHT * len(bars) + 12
    scale = (_WIDTH - _LEFT - _RIGHT) / max((value for _, value in bars), default=1.0)
    title = f"Requests a second: {HEADLINE_LOAD}, {HEADLINE_CONNECTIONS} connections"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"',
        ' font-family="sans-serif" font-size="14">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="12" y="26" font-size="16" font-weight="bold" fill="{_INK}">{escape(title)}</text>',
    ]
    for at, (name, value) in enumerate(bars):
        lines += _bar(_TOP + _ROW_HEIGHT * at, name, value, value * scale, _OURS if name == ours else _OTHERS)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _bar(top: int, name: str, value: float, length: float, colour: str) -> list[str]:
    middle = top + _ROW_HEIGHT // 2 + 1
    return [
        f'<text x="{_LEFT - 10}" y="{middle}" text-anchor="end" fill="{_INK}">{escape(name)}</text>',
        f'<rect x="{_LEFT}" y="{top}" width="{length:.1f}" height="{_ROW_HEIGHT - 10}" fill="{colour}"/>',
        f'<text x="{_LEFT + length + 8:.1f}" y="{middle}" fill="{_INK}">{value:,.0f}</text>',
    ]
