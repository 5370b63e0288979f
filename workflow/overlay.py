"""A study as snakemake would have it, for whoever looks at one without snakemake."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config

DEFAULT = Path(__file__).resolve().parents[1] / "config.yaml"


def laid_over_default(studies: Iterable[str | Path]) -> dict[str, Any]:
    """Return config.yaml with studies laid over it, each over those before; nothing is checked."""
    config: dict[str, Any] = yaml.safe_load(DEFAULT.read_text("utf-8"))
    for study in studies:
        update_config(config, yaml.safe_load(Path(study).read_text("utf-8")))
    return config
