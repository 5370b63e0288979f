"""Writes the page about stores: `python -m eigendrift.stores.document > results/README.md`."""

from eigendrift.stores.arrays import STORES

INTRODUCTION = """\
# What is in this directory

`<study>/` holds the results of one study, by default `desk`. You can delete and recreate everything in it with
`make figures` and `make report`.

| path | content |
| --- | --- |
| `data/<dataset>.zarr` | the samples |
| `runs/<dataset>/<model>/<optimizer>/batch<b>-lr<lr>/seed<s>/` | `trajectory.zarr`, `eigenpairs.zarr` and `metrics.zarr` of one run |
| `runs/…/seed<s>/wide/` | `eigenpairs.zarr` and `metrics.zarr` with more pairs at fewer checkpoints, for the runs of the main experiment |
| `runs/…/seed<s>/preconditioned/` | the same for the preconditioned Hessian, for some runs of adaptive optimizers |
| `runs/…/seed<s>/plugins/<metric>.zarr` | a metric of a plug-in, for the runs of the main experiment |
| `minima/<dataset>/<model>/<optimizer>.zarr` | the best minimum among an optimizer's runs, and the curvature there |
| `null/<dataset>/<model>/<null>.zarr`, `<null>-baseline.zarr` | draws from a null model, and their displacement and localization |
| `null/<dataset>/<model>/untrained-<null>.zarr`, `…-baseline.zarr` | the same at untrained networks; `untrained-observed` is at the networks from which training starts |
| `null/<dataset>/<model>/wide-<null>.zarr`, `…-baseline.zarr` | draws from the selected null model with as many pairs as `wide/` |
| `null_validation.csv`, `null_departure.csv` | whether each null model holds before training, and whether training leaves it |
| `null_values.csv` | the values that these two tables compare |
| `figures/figNN_<name>.png`, `.pdf`, `.csv` | figures with the numbers of the paper; the csv has the plotted numbers |
| `figures/extNN_<name>.png`, `.pdf`, `.csv` | figures that are not in the paper |
| `claims.json`, `claims.csv` | verdicts on the paper's claims; [claims.schema.json](../workflow/schemas/claims.schema.json) describes the keys |
| `claims_sensitivity.csv` | verdicts with other numbers of leading eigenvectors, other lags, and fewer checkpoints |
| `report.html` | figures, captions, verdicts, run times and configuration in one file, by `make report` |
| `claims.html`, `config.html`, `config.yaml`, `benchmarks.csv`, `figures/ext09_run_times` | the parts of the report other than figures of the paper |
| `….csv.sha256`, `claims.json.sha256` | digests of the tables and verdicts that later stages read; a stage refuses a file without its digest |
| `logs/`, `benchmarks/` | the log and the run time of each job |

A store is a zarr v3 group, which you can open with `xarray.open_zarr("results/desk/runs/…/metrics.zarr")`. Next to
each store there is a manifest, a `.json` file with the same name. It lists settings, summary, shapes, digests of the
content and of each chunk, and the versions of the packages that computed it. Arrays with the dimension `parameter`
have one chunk per checkpoint or draw. The N parameters are in the order of `model.parameters()`. `rank` 1 is the
largest eigenvalue, and `waiting` is the checkpoint from which displacements are measured.

With the configuration key `storage`, a study can keep a part of its runs' eigenvectors; the others are NaN. It can
also keep eigenvectors in float16: then the store has 2¹⁵ times each entry, which xarray undoes by the attribute
`scale_factor`, metrics are computed from the rounded vectors, and `residual` and `converged` belong to the vectors
before rounding. The `settings` of a store have these keys.

This page is generated from the registry that every store is checked against:
`python -m eigendrift.stores.document > results/README.md`, with `workflow/` on the `PYTHONPATH`.
"""


def document() -> str:
    """Return the page, in Markdown."""
    page = INTRODUCTION
    for spec in STORES.values():
        page += f"\n## {spec.kind}\n\n{spec.meaning}\n\n"
        page += "| array | dimensions | dtype | unit | meaning |\n| --- | --- | --- | --- | --- |\n"
        for array in spec.arrays:
            name, dims, dtypes = f"{array.name}{' (optional)' * array.optional}", array.dims, array.dtypes
            meaning = array.meaning.replace("|", "∣")
            page += f"| {name} | {', '.join(dims)} | {' or '.join(dtypes)} | {array.unit} | {meaning} |\n"
    return page


if __name__ == "__main__":
    print(document(), end="")
