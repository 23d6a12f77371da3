"""Counts from any array, in memory, on disk or in bins, and the grid of pixels."""
