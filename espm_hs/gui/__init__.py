"""What can be done by hand, in HyperSpy's way: models here, widgets by toolkit.

- `parameters`: `AnalysisParameters`, the numbers of `set_analysis_parameters`
- `elements`: `ElementPicker`, elements of the sample and stray ones
- `channels`: `ChannelMask`, ranges of energy to ignore, also by dragging
- `widgets`: the first two as ipywidgets; imported when they are shown

The models know nothing of a toolkit: HyperSpy finds the widgets by the toolkeys of
``hyperspy_extension.yaml``. Whatever they do has a call that does the same.
"""

from espm_hs.gui.channels import ChannelMask
from espm_hs.gui.elements import ElementPicker
from espm_hs.gui.parameters import AnalysisParameters

__all__ = ["AnalysisParameters", "ChannelMask", "ElementPicker"]
