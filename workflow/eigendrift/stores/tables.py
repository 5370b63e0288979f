"""Tables as CSV files. A reader finds the old table or the new one, never a part of one."""

from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from eigendrift.stores.checksums import read_checksummed, write_checksummed
from eigendrift.stores.files import write_file


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table for people, without its index.

    Raises:
        UserError: If the disk is full.
    """
    write_file(path, table.to_csv(index=False))


def write_checksummed_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table that a later stage reads, without its index, and its digest.

    Raises:
        UserError: If the disk is full.
    """
    write_checksummed(path, table.to_csv(index=False))


def read_table(path: Path, **options: Any) -> pd.DataFrame:
    """Return a table that `write_checksummed_table` wrote.

    Args:
        path: Path of the table.
        **options: Options of `pandas.read_csv`.

    Raises:
        UserError: If the table is missing or damaged.
    """
    table: pd.DataFrame = pd.read_csv(StringIO(read_checksummed(path)), **options)
    return table
