"""What a result is worth: information, bias and feasible ranges."""
