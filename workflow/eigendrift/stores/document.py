"""The registry as a page for readers: `python -m eigendrift.stores.document > results/README.md`."""

from eigendrift.stores.arrays import STORES
from eigendrift.stores.specs import StoreSpec

INTRODUCTION = """\
# What lies here

`<study>/` holds the results of one study, `desk` by default. Everything in it can be made again by `make figures`
and `make report`.

| path | what |
| --- | --- |
| `data/<dataset>.zarr` | the samples |
| `runs/<dataset>/<model>/<optimizer>/batch<b>-lr<lr>/seed<s>/` | `trajectory.zarr`, `eigenpairs.zarr`, `metrics.zarr` of one run |
| `runs/…/seed<s>/wide/` | `eigenpairs.zarr` and `metrics.zarr` with more pairs at fewer checkpoints, of the main experiment's runs |
| `runs/…/seed<s>/preconditioned/` | the same of the preconditioned Hessian, of some runs of adaptive optimizers |
| `runs/…/seed<s>/plugins/<metric>.zarr` | a metric of a plug-in, of the main experiment's runs |
| `minima/<dataset>/<model>/<optimizer>.zarr` | the best minimum of an optimizer, of its runs, and the curvature there |
| `null/<dataset>/<model>/<null>.zarr`, `<null>-baseline.zarr` | draws from a null model; their displacement and localization |
| `null/<dataset>/<model>/untrained-<null>.zarr`, `…-baseline.zarr` | the same at untrained networks; `untrained-observed`: those that training starts from |
| `null/<dataset>/<model>/wide-<null>.zarr`, `…-baseline.zarr` | draws of the chosen null model with as many pairs |
| `null_validation.csv`, `null_departure.csv` | whether each null model holds before training, and whether training leaves it |
| `null_values.csv` | the values that these two compare |
| `figures/figNN_<name>.png`, `.pdf`, `.csv` | figures as numbered in the paper; the csv holds the numbers plotted |
| `figures/extNN_<name>.png`, `.pdf`, `.csv` | figures of our own |
| `claims.json`, `claims.csv` | verdicts on the paper's claims; keys: [claims.schema.json](../workflow/schemas/claims.schema.json) |
| `claims_sensitivity.csv` | the same with other numbers of leading eigenvectors, other lags, and fewer checkpoints |
| `report.html` | figures, captions, verdicts, run times and configuration in one file: `make report` |
| `claims.html`, `config.html`, `config.yaml`, `benchmarks.csv`, `figures/ext09_run_times` | its parts that are no figures of the paper |
| `….csv.sha256`, `claims.json.sha256` | the digests of tables and verdicts that a later stage reads, without which it refuses them |
| `logs/`, `benchmarks/` | what each job said, and how long it took |

A store is a zarr v3 group: `xarray.open_zarr("results/desk/runs/…/metrics.zarr")` reads it as it is. Beside each
store lies a manifest, a `.json` of the same name: settings, summary, shapes, digests of the content and of each
chunk, and versions of what computed it. Arrays with a dimension `parameter` have one chunk per checkpoint or draw.
N parameters stand in `model.parameters()` order; `rank` 1 is the largest eigenvalue; `waiting` is a checkpoint that
displacements start from.

A study's `storage` may keep a part of the eigenvectors of runs, and NaN stands for the others; or keep them in float16,
2¹⁵ times each entry, which xarray undoes by the attribute `scale_factor`. Then metrics are of the rounded vectors, while
`residual` and `converged` are those of the vectors before. `settings` say so where it is the case.

This page is generated from the registry that every store is checked against:
`python -m eigendrift.stores.document > results/README.md`, with `workflow/` on the `PYTHONPATH`.
"""


def document() -> str:
    """Return the page, in Markdown."""
    return INTRODUCTION + "".join(map(_section, STORES.values()))


def _section(spec: StoreSpec) -> str:
    rows = "".join(
        f"| {array.name}{' (optional)' * array.optional} | {', '.join(array.dims)} | {' or '.join(array.dtypes)} "
        f"| {array.unit} | {array.meaning.replace('|', chr(0x2223))} |\n"
        for array in spec.arrays
    )
    return (
        f"\n## {spec.kind}\n\n{spec.meaning}\n\n"
        f"| array | dimensions | dtype | unit | meaning |\n| --- | --- | --- | --- | --- |\n{rows}"
    )


if __name__ == "__main__":
    print(document(), end="")
