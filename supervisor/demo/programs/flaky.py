"""A service that breaks soon after its start, every time: what a breaker is for."""

import sys
import time

print("reading the configuration", flush=True)
time.sleep(0.7)
print("fatal: cannot reach the licence server", file=sys.stderr, flush=True)
sys.exit(3)
