"""Draw leading eigenvectors from one null model of one network on one data set."""

from pathlib import Path

from stage import logged

with logged(snakemake.log[0]):
    from eigendrift import numerics
    from eigendrift.data.storage import read_samples
    from eigendrift.eigenpairs.landscape import Landscape
    from eigendrift.null.draws import draw_null
    from eigendrift.stores.progress import progress_key, resumable
    from eigendrift.stores.writing import write_store

    settings = snakemake.params.settings
    numerics.configure(snakemake.threads)
    device = numerics.resolve_device(snakemake.params.device)
    samples = read_samples(Path(snakemake.input.data))
    landscape = Landscape(samples, settings["model"], settings["eigenpairs"], device)
    store = Path(snakemake.output.store)
    key = progress_key({**settings, "device": device.type}, [snakemake.input.manifest, *snakemake.input.code])
    with resumable(store, key) as progress:
        columns = draw_null(settings, landscape, progress, f"null {snakemake.wildcards.null}")
        write_store(store, "null", columns, settings, {"parameters": landscape.size})
