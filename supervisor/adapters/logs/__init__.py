"""Captures, stores, rotates and reads the output of services; knows no supervision rules."""
