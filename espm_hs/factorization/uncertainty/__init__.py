"""What a result is worth: Fisher information, errors of pixels, doubt."""
