"""Mutation: changes the rules at single places, and finds out which changes no test notices.

places.py      the places of a file that can be changed, by its syntax tree
tests_of.py    the test files that can notice a change of a module, by their imports
trial.py       one change in a copy of the tree: which stage of the tests finds it
campaign.py    many trials, on several copies, with results that are kept
"""
