"""What every figure's script ends with."""

from collections.abc import Callable
from typing import Any


def picture(draw: Callable[..., Any], snakemake: Any) -> None:
    """Draw a figure from the rule's stores and save its files."""
    from eigendrift.figures.output import produce

    produce(
        draw,
        snakemake.input.metrics,
        snakemake.input.baselines,
        snakemake.params.settings,
        snakemake.params.style,
        dict(snakemake.output.items()),
    )
