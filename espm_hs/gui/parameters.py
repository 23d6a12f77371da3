"""What is known of sample and microscope, to be filled in by hand."""

from __future__ import annotations

from typing import Any

import traits.api as t
from hyperspy.ui_registry import add_gui_method

from espm_hs.metadata.describe import describe
from espm_hs.metadata.reader import read
from espm_hs.metadata.schema import ITEMS
from espm_hs.physics import atomic_number

# Items of the schema that have a field.
_FIELDS = {name: item for name, item in ITEMS.items() if item.label}
STATES = ("", "sample", "stray")


@add_gui_method(toolkey="espm_hs.AnalysisParameters")
class AnalysisParameters(t.HasTraits):
    """Parameters of the analysis of a signal, None where they are not known.

    There is a trait for each item of the schema that has a label.

    Parameters
    ----------
    signal
        The signal of which the metadata are read, and written by `store`.
    """

    def __init__(self, signal: Any):
        super().__init__()
        self.signal = signal
        trees = signal.metadata, signal.original_metadata
        rows = {row[0]: row[2] for row in describe(*trees)}
        #: Trait -> what is a default or missing, and the call that sets it.
        self.remarks = {
            name: rows.get(item.shown, "") for name, item in _FIELDS.items()
        }
        self.trait_set(**{name: read(name, *trees) for name in _FIELDS})
        self._before = self.trait_get(self.names)

    @property
    def names(self) -> list[str]:
        """Names of the parameters, in order."""
        return list(_FIELDS)

    def store(self, *_: Any) -> None:
        """Write what has changed to the metadata.

        Raises
        ------
        ValueError
            If a value makes no sense; nothing is written then.
        """
        calls: dict[str, dict] = {"set_analysis_parameters": {}}
        for name, value in self.trait_get(self.names).items():
            if value is not None and value != self._before[name]:
                calls.setdefault(_FIELDS[name].method, {})[name] = value
        for method, changed in calls.items():
            getattr(self.signal, method)(**changed)
        self._before = self.trait_get(self.names)


for _name, _item in _FIELDS.items():
    _trait = t.Union(None, t.Float, label=_item.label, desc=_item.sentence)
    AnalysisParameters.add_class_trait(_name, _trait)


@add_gui_method(toolkey="espm_hs.ElementPicker")
class ElementPicker(t.HasTraits):
    """Which elements are in the sample, and which are stray.

    Parameters
    ----------
    signal
        The signal of which the metadata are read, and written by `store`.

    Attributes
    ----------
    states
        Symbol -> "sample" or "stray", for those that are either.
    """

    states = t.Dict(t.Str, t.Enum(*STATES[1:]))

    def __init__(self, signal: Any):
        super().__init__()
        self.signal = signal
        trees = signal.metadata, signal.original_metadata
        sample = dict.fromkeys(read("elements", *trees) or [], "sample")
        stray = dict.fromkeys(read("stray_elements", *trees) or [], "stray")
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
        """Return the symbols in a state, by atomic number."""
        symbols = [symbol for symbol, one in self.states.items() if one == state]
        return sorted(symbols, key=atomic_number)

    def store(self, *_: Any) -> None:
        """Write the elements to the metadata, in the place of those before."""
        self.signal.set_elements(self.chosen("sample"))
        self.signal.set_analysis_parameters(stray_elements=self.chosen("stray"))
