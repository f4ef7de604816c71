"""Contracts: frames, programs, plans, forms and code tables. Imports nothing of the program."""
