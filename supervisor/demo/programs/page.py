"""What visitors see while the real thing is down."""

import time

print("serving the maintenance page", flush=True)
while True:
    time.sleep(3600)
