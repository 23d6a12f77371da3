"""From counts and a linear model to phases."""
