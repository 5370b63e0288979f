"""A network whose layers initialize themselves."""

from eigendrift.extensions import Model

from ._shared import halves


def build(settings, image_shape, classes, random):
    """Return a perceptron with a narrow hidden layer."""
    from torch import nn

    rows, columns = image_shape
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(rows * columns, halves(settings["width"])),
        nn.LayerNorm(halves(settings["width"])),
        nn.Tanh(),
        nn.Linear(halves(settings["width"]), classes),
    )


EXTENSIONS = [
    Model(
        name="bottleneck",
        build=build,
        settings={"width": {"description": "Twice the width of the bottleneck.", "type": "integer", "minimum": 2}},
    ),
]
