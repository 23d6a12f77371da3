"""The extra "gui": widgets of a notebook, which write what is typed into them."""

import ipympl  # noqa: F401, figures of notebooks need it

from espm_hs import simulation

s = simulation.particles((24, 24))
shown = s.edit_analysis_parameters(display=False, toolkit="ipywidgets")
fields = shown["ipywidgets"]["wdict"]
fields["thickness"].value = "80"
fields["density"].value = "4.5"
fields["store"].click()
assert s.physical_model().thickness == 80
print(f"{len(fields)} widgets, thickness {s.physical_model().thickness:g} nm")
