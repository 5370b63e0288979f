"""Hold null models against untrained networks, and runs against null models."""

from pathlib import Path

from stage import logged

with logged(snakemake.log[0]):
    import logging

    from eigendrift.extensions.plugins import load_plugins
    from eigendrift.stores.tables import write_checksummed_table
    from eigendrift.validation.judge import departures, validate
    from eigendrift.validation.values import read_values

    load_plugins(snakemake.params.plugins)
    stores, outputs, settings = snakemake.input, snakemake.output, snakemake.params.settings
    values = read_values(stores.baselines, stores.untrained, stores.metrics, stores.eigenpairs)
    tables = {"validation": validate(values, settings), "departure": departures(values, settings)}
    for name, table in tables.items():
        write_checksummed_table(Path(outputs[name]), table)
        logging.info("Verdicts of the %s: %s", name, table["verdict"].value_counts().to_dict())
    write_checksummed_table(Path(outputs.values_compared), values)
