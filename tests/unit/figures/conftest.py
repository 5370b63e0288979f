"""Figures are drawn in the house style and closed after each test."""

import matplotlib.pyplot as plt
import pytest

from eigendrift.figures.style import house_style


@pytest.fixture(autouse=True)
def _house():
    with house_style({}):
        yield
    plt.close("all")
