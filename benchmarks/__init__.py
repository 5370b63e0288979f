"""Timings of leading eigenpairs of trained networks: eigendrift next to the libraries users would pick instead."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))
