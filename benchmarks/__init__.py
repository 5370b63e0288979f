"""Leading eigenpairs of trained networks: ours side by side with what users would pick instead."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))
