"""How the leading eigenvector ends up, run by run: `python docs/read_results.py results/smoke`."""

import sys
from pathlib import Path

import xarray as xr

for path in sorted(Path(sys.argv[1]).glob("runs/*/*/*/*/seed*/metrics.zarr")):
    run = xr.open_zarr(path)
    dataset, model, optimizer, setting, seed = path.parent.parts[-5:]
    leading = run.sel(rank=1)
    moved = leading["displacement"].isel(waiting=0, checkpoint=-1)  # since the start
    ratio = leading["inverse_participation_ratio"].isel(checkpoint=-1)
    print(
        f"{dataset} {model} {optimizer} {setting} {seed}: after {int(run['step'][-1])} steps "
        f"loss {float(run['train_loss'][-1]):.3g}, λ1 {float(leading['eigenvalue'][-1]):.3g}, "
        f"moved by {float(moved):.3g}, inverse participation ratio {float(ratio):.3g}"
    )
