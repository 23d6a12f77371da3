"""From the result of a decomposition to numbers with errors."""
