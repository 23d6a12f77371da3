"""What one summed spectrum tells: energy scale, elements, thickness, line factors."""
