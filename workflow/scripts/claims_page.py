"""Make a page of the verdicts."""

import json
from pathlib import Path

from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.report.claims import claims_page
    from eigendrift.stores.checksums import read_checksummed
    from eigendrift.stores.files import write_file

    content = json.loads(read_checksummed(Path(snakemake.input.verdicts)))
    write_file(Path(snakemake.output.page), claims_page(content))
