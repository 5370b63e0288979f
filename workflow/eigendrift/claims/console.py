"""The verdicts as a few lines for the console.

Snakemake's own process imports this module, so the module imports nothing heavy.
"""

import json
from pathlib import Path
from typing import Any

from eigendrift.stores.checksums import read_checksummed


def console_table(path: Path) -> str:
    """Return a line for each claim and data set: verdict, effect, interval and corrected p.

    Args:
        path: Path of claims.json.

    Raises:
        UserError: If the file is missing or damaged.
    """
    rows = [_row(claim) for claim in json.loads(read_checksummed(path))["claims"]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join(["", "The paper's claims:", *(f"  {line}" for line in lines), f"Why: {path}", ""])


def _row(claim: dict[str, Any]) -> tuple[str, ...]:
    effect, interval, corrected = claim["effect"], claim["interval"], claim["corrected_p"]
    return (
        claim["claim"],
        claim["dataset"],
        claim["verdict"],
        "" if effect is None else f"{effect:.3f}",
        "" if interval is None else f"[{interval[0]:.3f}, {interval[1]:.3f}]",
        "" if corrected is None else f"p = {corrected:.2g}",
        claim["statement"],
    )
