"""Mutation: changes the rules at single places, and finds out which changes no test notices.

places.py      the places of a file that can be changed, by its syntax tree
lines.py       which tests run which lines
concerned.py   the tests that can notice a change, by the lines that they run or the modules that they import
trial.py       one change in a copy of the tree: which stage of the tests finds it
campaign.py    many trials, on several copies, with results that are kept
"""
