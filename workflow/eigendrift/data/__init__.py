"""Data sets: where their files come from, how they are verified, and what a loaded one is."""
