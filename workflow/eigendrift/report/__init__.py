"""What the report shows beside figures: the verdicts, the run times and the configuration."""
