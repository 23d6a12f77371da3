"""
Say what you know
=================

Cores of Pt-Fe in shells of magnetite on carbon: no core is seen without its shell, and
no shell without the film. The counts alone do not say how much of the oxygen is the
core's own, or how much of the carbon the shell's. What you know does.
"""

import warnings

from espm_hs import PhaseWarning
from espm_hs.simulation import core_shell

s = core_shell((48, 48))
with warnings.catch_warnings():
    warnings.simplefilter("ignore", PhaseWarning)  # the table has it, too
    s.decomposition(algorithm="espm", output_dimension=3, print_info=False)

# %%
# The last column of the table is the range of at.% that the counts allow, and the lines
# below it name the phases of which to beware:

s.print_quantification()

# %%
# Say which elements each of them lacks. All else is found as before:

known = {
    "core": {"absent": ["O", "C"]},
    "shell": {"absent": ["C", "Pt"]},
    "film": {"absent": ["Fe", "O", "Pt"]},
}
s.decomposition(
    algorithm="espm", output_dimension=3, known_phases=known, print_info=False
)
s.print_quantification()

# %%

s.plot_phases()
