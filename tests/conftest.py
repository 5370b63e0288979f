"""What holds for every process of the tests."""

import os
import signal

# More threads than cores wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What a shell starts in the background ignores interrupts; so would all that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
