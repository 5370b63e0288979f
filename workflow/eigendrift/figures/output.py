"""Figures as files: the same bytes whenever the numbers are the same."""

import logging
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt

from eigendrift.errors import UserError
from eigendrift.figures.parts import Plotted
from eigendrift.figures.style import house_style
from eigendrift.stores.files import write_file
from eigendrift.stores.tables import write_table

# Dates and versions in the files would change their bytes.
METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def produce(
    draw: Callable[..., Plotted],
    source: Any,
    settings: Mapping[str, Any],
    style: Mapping[str, Any],
    outputs: Mapping[str, str | Path],
    study: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Draw a figure and save picture and numbers.

    Args:
        draw: Makes the figure from the source and the settings.
        source: What the figure's ``read`` made of its stores, such as a `Collection`.
        settings: Keyword arguments of ``draw``.
        style: matplotlib rcParams laid over the house style.
        outputs: Paths of the files ``png``, ``pdf`` and ``csv``.
        study: See `house_style`.

    Raises:
        UserError: A plug-in drew something else.
    """
    # Of each font in a pdf it tells what it leaves out.
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    with house_style(style, study):
        plotted = draw(source, **settings)
        if not isinstance(plotted, Plotted):
            raise UserError(
                f"The figure '{Path(outputs['png']).stem}' is drawn as {type(plotted).__name__}, expected "
                "eigendrift.figures.parts.Plotted; mend its function draw."
            )
        for ending, metadata in METADATA.items():
            picture = BytesIO()
            plotted.figure.savefig(picture, format=ending, metadata=metadata)
            write_file(Path(outputs[ending]), picture.getvalue())
            # The layout is found for the first file and kept for the next: it takes longer than to draw.
            plotted.figure.set_layout_engine("none")
        plt.close(plotted.figure)
    # Whole numbers stay whole, also in columns that not every row has.
    write_table(Path(outputs["csv"]), plotted.table.convert_dtypes())
