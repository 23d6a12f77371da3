"""Benchmarks over the history of the project, run by asv."""
