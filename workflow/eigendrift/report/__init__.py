"""Pages of the report next to figures: verdicts, run times and the configuration."""
