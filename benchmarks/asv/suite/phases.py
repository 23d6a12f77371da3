"""What users wait for, over the history of the project: see docs/contributing.md."""

import subprocess
import sys
import warnings

import hyperspy.api as hs

from espm_hs import simulation

QUIET = {"print_info": False, "show_progressbar": False}


def _map(counts):
    warnings.simplefilter("ignore")
    hs.preferences.General.show_progressbar = False
    return simulation.particles((64, 64), counts_per_pixel=counts, seed=0)


class Import:
    """Start of Python with the package, as each command and each kernel does."""

    params = ("espm_hs", "espm_hs.cli", "espm_hs.signals")
    param_names = ("module",)

    def timeraw_import(self, module):
        """Seconds of an import in a process of its own."""
        return f"import {module}"

    def track_modules(self, module):
        """Count the modules that come with it."""
        code = f"import sys, {module}; print(len(sys.modules))"
        return int(subprocess.check_output([sys.executable, "-c", code]))


class Decomposition:
    """A map of 64 x 64 pixels, with its kernels compiled."""

    params = (20, 300)
    param_names = ("counts per pixel",)
    timeout = 300

    def setup(self, counts):
        """Decompose once, which compiles."""
        self.s = _map(counts)
        self.s.decomposition(algorithm="espm", output_dimension=3, **QUIET)

    def time_decomposition(self, counts):
        """Seconds from the map to the phases."""
        self.s.decomposition(algorithm="espm", output_dimension=3, **QUIET)

    def time_quantify(self, counts):
        """Seconds from the phases to at.%."""
        self.s.quantify()

    def time_quantify_pixels(self, counts):
        """Seconds from the maps to at.% of each pixel."""
        self.s.quantify("pixels")

    def peakmem_decomposition(self, counts):
        """Memory of the process."""
        self.s.decomposition(algorithm="espm", output_dimension=3, **QUIET)

    def track_objective(self, counts):
        """F, in nats, which no change of speed may raise."""
        return self.s.analysis_results().objective
