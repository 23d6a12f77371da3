"""Ways down from a start, one solver a file."""
