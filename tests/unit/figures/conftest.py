"""Tests of figures draw in the house style and close what they drew."""

import matplotlib.pyplot as plt
import pytest

from eigendrift.figures.style import house_style


@pytest.fixture(autouse=True)
def _house():
    with house_style({}):
        yield
    plt.close("all")
