"""Make a page of the verdicts."""

import json
from pathlib import Path

from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.report.claims import claims_page

    content = json.loads(Path(snakemake.input.verdicts).read_text("utf-8"))
    Path(snakemake.output.page).write_text(claims_page(content), "utf-8")
