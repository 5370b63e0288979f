"""Zarr stores with their manifests, checked tables, and the progress of unfinished jobs."""
