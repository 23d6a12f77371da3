"""``python -m espm_hs.cli``."""

from espm_hs.cli.main import main

main()
