"""Thousands of landings: a spec, workers, rows that survive, a report."""
