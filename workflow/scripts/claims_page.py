"""Make a page of the verdicts."""

import json
from pathlib import Path

from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.report.claims import claims_page
    from eigendrift.stores.files import write_file

    content = json.loads(Path(snakemake.input.verdicts).read_text("utf-8"))
    write_file(Path(snakemake.output.page), claims_page(content))
