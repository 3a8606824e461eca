"""A migration of a database.  A second run would fail: the table is there."""

import os
import sqlite3

with sqlite3.connect(os.environ["DATABASE"]) as database:
    database.execute("CREATE TABLE job (name TEXT PRIMARY KEY, epoch INTEGER, turns INTEGER)")
    database.execute("INSERT INTO job VALUES ('count', 0, 0)")
