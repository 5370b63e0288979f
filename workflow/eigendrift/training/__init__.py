"""Training networks and recording their trajectories."""
