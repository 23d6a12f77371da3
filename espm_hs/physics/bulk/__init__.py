"""X-ray emission of bulk samples in the scanning electron microscope."""
