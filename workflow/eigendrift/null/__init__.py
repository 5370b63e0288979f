"""Null models: what leading eigenvectors look like without training."""
