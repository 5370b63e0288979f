"""Write down the configuration of the study, complete."""

from pathlib import Path

from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.report.configuration import configuration_file, configuration_page
    from eigendrift.stores.files import write_file

    config = snakemake.params.config
    write_file(Path(snakemake.output.file), configuration_file(config))
    write_file(Path(snakemake.output.page), configuration_page(config, snakemake.params.schema))
