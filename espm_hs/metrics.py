"""The name that `espm_hs.simulation.metrics` had before."""

from espm_hs.simulation.metrics import *  # noqa: F403
from espm_hs.simulation.metrics import __all__  # noqa: F401
