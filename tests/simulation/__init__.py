"""The simulation: the real engine, rules and recovery on a world that follows from a seed.

processes.py   processes that run, beat, hang and end
disk.py        what survives a crash
daemon.py      one run of the daemon: the real engine, service set and recovery on the world
world.py       time, and everything that happens by itself
faults.py      the faults that are injected
plans.py       the services
invariants.py  what must always hold
releases.py    what must hold of rollouts
demand.py      connections to services that start on demand, and what must hold of these
wishes.py      what the world ordered, and whether the daemon follows it
run.py         one seed from beginning to end
"""
