from __future__ import annotations

from r1kit.report.draw.chart import ChartLine, draw


def rows(lines: list[ChartLine], *, ascii_only: bool) -> list[str]:
    text = draw(lines, width=14, height=3, low=0, high=1, label=lambda y: f"{y:g}", x_title="", ascii_only=ascii_only)
    return text.plain.split("\n")


def test_a_diagonal_goes_from_corner_to_corner() -> None:
    line = ChartLine(name="up", points=[(0, 0), (10, 1)], style="blue", mark="*")
    drawn = rows([line], ascii_only=True)
    assert [row[:5].strip(" +") for row in drawn[:3]] == ["1", "0.5", "0"]
    cells = [row[5:] for row in drawn[:3]]
    assert cells[0].rstrip().endswith("*")
    assert cells[0].startswith(" ")
    assert cells[2].startswith("*")
    assert drawn[4].split() == ["0", "10"]


def test_braille_dots_of_a_flat_line_at_the_top() -> None:
    line = ChartLine(name="flat", points=[(0, 1), (1, 1)], style="blue", mark="*")
    drawn = rows([line], ascii_only=False)
    assert set(drawn[0][5:]) == {chr(0x2800 + 0x01 + 0x08)}
    assert drawn[1][5:].strip() == ""


def test_no_points_draw_nothing_and_one_point_draws_one_mark() -> None:
    assert rows([ChartLine(name="none", points=[], style="blue", mark="*")], ascii_only=True) == [""]
    drawn = rows([ChartLine(name="one", points=[(3, 0.5)], style="blue", mark="*")], ascii_only=True)
    assert sum(row.count("*") for row in drawn) == 1
