"""Make a page of the verdicts."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from runtime.job import job

with job(snakemake) as verify_code:
    from eigendrift.report.pages import claims_page
    from eigendrift.stores.checksums import read_checksummed
    from eigendrift.stores.files import write_file

    content = json.loads(read_checksummed(Path(snakemake.input.verdicts)))
    verify_code()
    write_file(Path(snakemake.output.page), claims_page(content))
