"""Hold null models against untrained networks, and runs against null models."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from runtime.job import job

with job(snakemake) as verify_code:
    import logging

    from eigendrift.extensions.plugins import load_plugins
    from eigendrift.stores.tables import write_checksummed_table
    from eigendrift.validation.comparison import departures, validate
    from eigendrift.validation.values import read_values

    load_plugins(snakemake.params.plugins)
    stores, outputs, settings = snakemake.input, snakemake.output, snakemake.params.settings
    values = read_values(stores.baselines, stores.untrained, stores.metrics, stores.eigenpairs)
    tables = {"validation": validate(values, settings), "departure": departures(values, settings)}
    verify_code()
    for name, table in tables.items():
        write_checksummed_table(Path(outputs[name]), table)
        logging.info("Verdicts of the %s: %s", name, table["verdict"].value_counts().to_dict())
    write_checksummed_table(Path(outputs.values_compared), values)
