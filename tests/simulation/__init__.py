"""The engine, the rules and the recovery, on a world that is made of nothing but a seed.

processes.py   processes that live, beat, fall ill and die
disk.py        what survives a crash
daemon.py      one life of a supervisor: the real engine, fleet and recovery on the world
world.py       time, and everything that happens by itself
faults.py      what is done to them
plans.py       the services
invariants.py  what must hold whatever happens
run.py         one seed from beginning to end
"""
