"""A oneshot: it runs to completion before anything that depends on it is started."""

import time

for step in range(1, 4):
    print(f"migration {step} of 3", flush=True)
    time.sleep(0.2)
