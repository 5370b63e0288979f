"""One thread for every process of the tests: more threads than cores wait for each other."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
