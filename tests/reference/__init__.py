"""A second opinion on the contracts: the rules of docs/spec in plain Python.

Written from the specification alone, for the tests to compare the contracts with. It imports nothing of
cloister and shares no code with it, and it is slow on purpose: lists instead of trees, sets instead of masks.
"""
