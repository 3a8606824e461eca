"""The rules.  Pure: no I/O, no clock, no global random.  Events and a time go in; actions and a deadline come out."""
