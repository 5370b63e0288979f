"""Tables as CSV files, which appear whole or not at all."""

from pathlib import Path

import pandas as pd

from eigendrift.stores.files import write_file


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table without its index.

    Raises:
        UserError: There is no room for it.
    """
    write_file(path, table.to_csv(index=False))
