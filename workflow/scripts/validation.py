"""Hold null models against untrained networks, and runs against null models."""

from stage import logged

with logged(snakemake.log[0]):
    import logging

    from eigendrift.extensions.plugins import load_plugins
    from eigendrift.validation.judge import departures, validate
    from eigendrift.validation.values import read_values

    load_plugins(snakemake.input.plugins)
    stores, outputs, settings = snakemake.input, snakemake.output, snakemake.params.settings
    values = read_values(stores.baselines, stores.untrained, stores.metrics, stores.eigenpairs)
    tables = {"validation": validate(values, settings), "departure": departures(values, settings)}
    for name, table in tables.items():
        table.to_csv(outputs[name], index=False)
        logging.info("Verdicts of the %s: %s", name, table["verdict"].value_counts().to_dict())
    values.to_csv(outputs.values_compared, index=False)
