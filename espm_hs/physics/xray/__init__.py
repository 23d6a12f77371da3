"""X-ray emission of thin samples in the electron microscope."""
