"""Gives the files of the tests of the importers to the real tools, and compares."""
