"""How many phases, and which binning, the counts bear out."""
