"""Writes to a database under its epoch: a run that wakes up after its successor has begun changes nothing."""

import os
import sqlite3
import time

EPOCH = int(os.environ["SUPERVISOR_EPOCH"])


def main() -> None:
    database = sqlite3.connect("/tmp/phi-cluster-scheduler.db", isolation_level=None)
    database.execute("CREATE TABLE IF NOT EXISTS job (name TEXT PRIMARY KEY, epoch INTEGER, turns INTEGER)")
    database.execute("INSERT OR IGNORE INTO job VALUES ('nightly', 0, 0)")
    while True:
        changed = database.execute(
            "UPDATE job SET epoch = ?, turns = turns + 1 WHERE name = 'nightly' AND epoch <= ?", (EPOCH, EPOCH)
        )
        if changed.rowcount == 0:
            raise SystemExit(f"epoch {EPOCH} is over: another host runs the scheduler")
        time.sleep(1.0)


if __name__ == "__main__":
    main()
