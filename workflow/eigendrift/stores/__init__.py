"""What the stages hand to one another: zarr stores, their manifests, and the progress of unfinished ones."""
