"""What can be done by hand, in HyperSpy's way: models here, widgets by toolkit.

- `parameters`: `AnalysisParameters`, the numbers of `set_analysis_parameters`,
  `ElementPicker`, elements of the sample and stray ones, and `ChannelMask`, ranges of
  energy to ignore, also by dragging
- `widgets`: the first two as ipywidgets; imported when they are shown

The models know nothing of a toolkit: HyperSpy finds the widgets by the toolkeys of
``hyperspy_extension.yaml``. Whatever they do has a call that does the same.
"""

from hyperspy.ui_registry import TOOLKIT_REGISTRY, UI_REGISTRY

from espm_hs.gui.parameters import AnalysisParameters, ChannelMask, ElementPicker

__all__ = ["AnalysisParameters", "ChannelMask", "ElementPicker"]

# Toolkey -> function of `widgets`.
WIDGETS = {
    "espm_hs.AnalysisParameters": "analysis_parameters",
    "espm_hs.ElementPicker": "element_picker",
}


def register_widgets() -> None:
    """Tell HyperSpy of the widgets, if it has a toolkit for them.

    Named in ``hyperspy_extension.yaml`` they would make HyperSpy believe that its own
    widgets are installed, too, and fail where it plots with sliders.
    """
    if "ipywidgets" in TOOLKIT_REGISTRY:
        for toolkey, function in WIDGETS.items():
            found = {"module": "espm_hs.gui.widgets", "function": function}
            UI_REGISTRY[toolkey]["ipywidgets"] = found


register_widgets()
