"""Training networks and recording where they go."""
