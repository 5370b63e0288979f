"""Write down the configuration of the study, complete."""

from pathlib import Path

from stage import logged

with logged(snakemake.log[0]):
    import yaml

    from eigendrift.extensions.plugins import load_plugins
    from eigendrift.report.configuration import configuration_file, configuration_page
    from eigendrift.stores.files import write_file
    from eigendrift.study.extensions import completed

    config = snakemake.params.config
    load_plugins(snakemake.input.plugins)
    schema = completed(yaml.safe_load(Path(snakemake.input.schema).read_text("utf-8")), config)
    write_file(Path(snakemake.output.file), configuration_file(config))
    write_file(Path(snakemake.output.page), configuration_page(config, schema))
