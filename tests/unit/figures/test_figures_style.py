"""Lines of optimizers and null models that the package does not ship."""

import pytest

from eigendrift.errors import UserError
from eigendrift.figures.parts import produce
from eigendrift.figures.style import LINES, NULL_LINES, house_style, null_line, optimizer_lines

SHIPPED = ["sgd", "adam", "sam"]


def look(line):
    return line["color"], line["linestyle"], line.get("marker")


def test_plugins_have_lines_of_their_own_in_every_figure_of_a_study():
    others = [f"mine{number}" for number in range(2 * len(LINES))]
    nulls = ["reinitialized", *(f"null{number}" for number in range(2 * len(NULL_LINES)))]
    with house_style({}, {"optimizers": [*SHIPPED, *others], "null_models": nulls}):
        lines = optimizer_lines([*SHIPPED, *others])
        for shown in ([others[3]], [others[1], "adam", others[0]]):
            assert optimizer_lines(shown) == {name: lines[name] for name in shown}
        looks = [look(null_line(name)) for name in nulls]
    assert len(set(map(look, lines.values()))) == len(lines)
    assert len(set(looks)) == len(looks)
    assert {name: lines[name] for name in SHIPPED} == optimizer_lines(SHIPPED)
    # Colours that the study does not use otherwise come first.
    assert len({line["color"] for line in list(lines.values())[: len(LINES)]}) == len(LINES)


def test_without_a_study_they_follow_what_is_shown():
    assert look(optimizer_lines(["mine"])["mine"]) == look(LINES[0])
    assert look(null_line("mine")) == look(NULL_LINES[0])


def test_what_is_no_figure_is_refused(tmp_path):
    with pytest.raises(UserError, match="The figure 'mine' is drawn as NoneType, expected "):
        produce(lambda source: None, None, {}, {}, {"png": tmp_path / "mine.png"})
