"""Elements of the sample and stray ones, to be picked by hand."""

from __future__ import annotations

import traits.api as t
from hyperspy.ui_registry import add_gui_method

from espm_hs.metadata import reader
from espm_hs.metadata.reader import sample_elements
from espm_hs.physics import atomic_number

STATES = ("", "sample", "stray")


@add_gui_method(toolkey="espm_hs.ElementPicker")
class ElementPicker(t.HasTraits):
    """
    Which elements are in the sample, and which are stray.

    Parameters
    ----------
    signal : EDSespmSpectrum
        Whose metadata are read, and written by `store`.

    Attributes
    ----------
    states : dict
        Symbol -> "sample" or "stray", for those that are either.
    """

    states = t.Dict(t.Str, t.Enum(*STATES[1:]))

    def __init__(self, signal):
        super().__init__()
        self.signal = signal
        sample = dict.fromkeys(sample_elements(signal.metadata) or [], "sample")
        stray = dict.fromkeys(reader.stray_elements(signal.metadata), "stray")
        self.states = stray | sample

    def turn(self, symbol: str) -> str:
        """Change an element from nothing to sample, to stray, to nothing; return it.

        Raises
        ------
        ValueError
            If there is no such element.
        """
        atomic_number(symbol)
        state = STATES[(STATES.index(self.states.get(symbol, "")) + 1) % len(STATES)]
        states = {k: v for k, v in self.states.items() if k != symbol}
        self.states = states | ({symbol: state} if state else {})
        return state

    def chosen(self, state: str) -> list[str]:
        """Symbols in a state, by atomic number."""
        symbols = [symbol for symbol, one in self.states.items() if one == state]
        return sorted(symbols, key=atomic_number)

    def store(self, *_) -> None:
        """Write the elements to the metadata, in the place of those before."""
        self.signal.set_elements(self.chosen("sample"))
        self.signal.set_analysis_parameters(stray_elements=self.chosen("stray"))
