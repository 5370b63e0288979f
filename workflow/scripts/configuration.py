"""Write down the configuration of the study, complete."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from runtime.job import job

with job(snakemake) as verify_code:
    from eigendrift.report.pages import configuration_file, configuration_page
    from eigendrift.stores.files import write_file

    config = snakemake.params.config
    verify_code()
    write_file(Path(snakemake.output.file), configuration_file(config))
    write_file(Path(snakemake.output.page), configuration_page(config, snakemake.params.schema))
