"""The command ``espm-hs``."""
