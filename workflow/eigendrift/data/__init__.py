"""Data sets: where their files come from, how they are verified, and how they are prepared."""
