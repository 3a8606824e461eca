"""The simulation of a cluster: real agents, leases, lease gates and dead-men in a world that follows from a seed.

ensemble.py     ZooKeeper: sessions by the servers' clock, servers that are cut off, outages, lost data
connection.py   one host's connection with it: delays, lost requests, answers that never come, late execution
processes.py    processes that are killed, stopped, starved and started again
host.py         a host: its clock, its trees of processes, and the three processes of ours
daemon.py       the daemon: the real lease gate, and what daemon/cluster/member.py does with the dead-man
pushed.py       the daemon's part in a push: what daemon/cluster/pushed.py does
agent.py        the agent's process: what cluster/process.py does, with the real agent and the real pushes
dead_man.py     the real dead-man, without its sockets
world.py        time, and what an observer outside sees
faults.py       the faults that are injected
run.py          one seed from beginning to end
"""
