"""Write down the configuration of the study, complete."""

from pathlib import Path

from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.report.configuration import configuration_file, configuration_page

    config = snakemake.params.config
    Path(snakemake.output.file).write_text(configuration_file(config), "utf-8")
    Path(snakemake.output.page).write_text(configuration_page(config, snakemake.params.schema), "utf-8")
