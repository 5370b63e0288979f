"""Tables as CSV files, which appear whole or not at all."""

from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from eigendrift.stores.checksums import read_checksummed, write_checksummed
from eigendrift.stores.files import write_file


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table for people, without its index.

    Raises:
        UserError: There is no room for it.
    """
    write_file(path, table.to_csv(index=False))


def write_checksummed_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table that a later stage reads, without its index, and its digest.

    Raises:
        UserError: There is no room for it.
    """
    write_checksummed(path, table.to_csv(index=False))


def read_table(path: Path, **options: Any) -> pd.DataFrame:
    """Read such a table.

    Args:
        path: Where it lies.
        **options: Those of `pandas.read_csv`.

    Raises:
        UserError: It is missing or damaged.
    """
    table: pd.DataFrame = pd.read_csv(StringIO(read_checksummed(path)), **options)
    return table
