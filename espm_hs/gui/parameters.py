"""What windows set: numbers of an analysis, elements, channels; no widgets here."""

import io
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import hyperspy.api as hs
import numpy as np
import traits.api as t
from hyperspy.ui_registry import add_gui_method
from matplotlib.figure import Figure

from espm_hs.arguments import check_choice, plain_float
from espm_hs.metadata.describe import describe
from espm_hs.metadata.reader import (
    OF_FILMS,
    energy_axis,
    kev_per_unit,
    model_class,
    read,
)
from espm_hs.metadata.schema import ITEMS
from espm_hs.physics import BulkModel, atomic_number
from espm_hs.plotting.lines import draw_lines, lines_of, usual_range
from espm_hs.plotting.look import Look

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

    # opens the window; HyperSpy's decorator adds it
    gui: Callable[..., Any]

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
        of_bulk = issubclass(model_class(self.signal.metadata), BulkModel)
        return [name for name in _FIELDS if not (of_bulk and name in OF_FILMS)]

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
    looked_at
        The element that was turned last; "" if there is none.
    energy_range
        Energies that the spectrum shows, keV; None: where there are lines.
    log
        Whether counts are logarithmic.
    """

    # opens the window; HyperSpy's decorator adds it
    gui: Callable[..., Any]

    states = t.Dict(t.Str, t.Enum(*STATES[1:]))
    looked_at = t.Str()
    energy_range = t.Union(None, t.Tuple(t.Float, t.Float))
    log = t.Bool(True)

    def __init__(self, signal: Any):
        super().__init__()
        self.signal = signal
        trees = signal.metadata, signal.original_metadata
        sample = dict.fromkeys(read("elements", *trees) or [], "sample")
        stray = dict.fromkeys(read("stray_elements", *trees) or [], "stray")
        self.states = stray | sample

    def turn(self, symbol: str, to: str | None = None) -> str:
        """Change the state of an element; return it.

        Parameters
        ----------
        symbol
            Of the element.
        to
            "sample" or "stray", or nothing if it is that already. None: from nothing
            to sample, to stray, to nothing.

        Raises
        ------
        ValueError
            If there is no such element or state.
        """
        atomic_number(symbol)
        check_choice("to", to, (None, *STATES[1:]))
        before = self.states.get(symbol, "")
        state = STATES[(STATES.index(before) + 1) % len(STATES)]
        if to is not None:
            state = "" if before == to else to
        states = {k: v for k, v in self.states.items() if k != symbol}
        # who follows the states draws both
        self.looked_at = symbol
        self.states = states | ({symbol: state} if state else {})
        return state

    def chosen(self, state: str) -> list[str]:
        """Return the symbols in a state, by atomic number."""
        symbols = [symbol for symbol, one in self.states.items() if one == state]
        return sorted(symbols, key=atomic_number)

    @property
    def text(self) -> str:
        """Say what is chosen."""
        parts = (
            f"{state}: {', '.join(self.chosen(state)) or 'none'}"
            for state in STATES[1:]
        )
        return "; ".join(parts)

    @cached_property
    def counts(self) -> np.ndarray:
        """Summed spectrum of the signal, shape (n_channels,)."""
        return self.signal._summed()

    @cached_property
    def energies(self) -> tuple[float, float]:
        """First and last energy of the spectrum, keV."""
        first, last = energy_axis(self.signal.axes_manager.signal_axes[0])[[0, -1]]
        return float(first), float(last)

    @property
    def usual_range(self) -> tuple[float, float]:
        """Energies that hold nearly all counts and all lines that are chosen, keV."""
        return usual_range(self.signal, self.counts, self.states)

    def has_lines(self, symbol: str) -> bool:
        """Whether an element has lines that the spectrum could show."""
        return bool(lines_of(self.signal, symbol))

    def draw(self) -> bytes:
        """Return the spectrum with the lines of what is chosen, as PNG.

        The element that was turned last is marked even if it is nothing now.
        """
        figure = Figure((9.6, 3.0))
        # margins of their own: those that are computed take as long as the drawing
        axes = figure.add_axes((0.07, 0.16, 0.92, 0.82))
        look = Look.of(energy_range=self.energy_range, log=self.log)
        states = {self.looked_at: ""} if self.looked_at else {}
        draw_lines(axes, self.signal, self.counts, states | self.states, look)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()

    def store(self, *_: Any) -> None:
        """Write the elements to the metadata, in the place of those before."""
        self.signal.set_elements(self.chosen("sample"))
        self.signal.set_analysis_parameters(stray_elements=self.chosen("stray"))


class ChannelMask:
    """Channels to leave out, to be given as ``signal_mask``.

    Parameters
    ----------
    signal
        The signal that they are of.
    ranges
        Pairs of energies in keV.

    Raises
    ------
    ValueError
        If a range makes no sense, or holds no channel.
    """

    def __init__(self, signal: Any, ranges: Sequence[tuple[float, float]] = ()):
        self._signal = signal
        self._axis = signal.axes_manager.signal_axes[0]
        self._energy = energy_axis(self._axis)
        self._plotted: Any = None
        self._spans: list = []
        for pair in ranges:
            if not (isinstance(pair, list | tuple | np.ndarray) and len(pair) == 2):
                raise ValueError(
                    "A range is a pair of energies in keV, as in "
                    f"`s.mask_channels((2.0, 2.6), (7.8, 8.3))`; got {pair!r}."
                )
            self.add(*pair)

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """Pairs of energies in keV, as they are now."""
        unit = kev_per_unit(self._axis)
        return [(span.left * unit, span.right * unit) for span in self._spans]

    def add(self, low: float, high: float) -> None:
        """Ignore the channels from one energy to another, keV.

        Raises
        ------
        ValueError
            If the second is not above the first, or no channel is between them.
        TypeError
            If one is no number.
        """
        low, high = plain_float("low", low), plain_float("high", high)
        if not low < high:
            raise ValueError(
                "A range goes from a lower to a higher energy in keV; got "
                f"{low:g} to {high:g}."
            )
        inside = (self._energy >= low) & (self._energy <= high)
        if not inside.any():
            raise ValueError(
                f"The range from {low:g} to {high:g} keV holds no channel; those of "
                f"the signal go from {self._energy[0]:g} to {self._energy[-1]:g} keV."
            )
        unit = kev_per_unit(self._axis)
        self._spans.append(hs.roi.SpanROI(low / unit, high / unit))
        if self._plotted is not None:
            self._show(self._spans[-1])

    def plot(self) -> None:
        """Plot the summed spectrum with the ranges, which can be dragged and resized.

        Without a range there is one in the middle to begin with.
        """
        summed = self._signal._summed()
        axis = {**self._axis.get_axis_dictionary(), "navigate": False}
        self._plotted = hs.signals.Signal1D(summed, axes=[axis])
        self._plotted.plot()
        axes = self._plotted._plot.signal_plot.ax
        axes.set_title("drag and resize what to ignore", fontsize="medium")
        if not self._spans:
            first, last = self._energy[[0, -1]]
            self.add(first + 0.45 * (last - first), first + 0.55 * (last - first))
            return
        for span in self._spans:
            self._show(span)

    def _show(self, span: Any) -> None:
        span.add_widget(self._plotted, color="#D55E00")

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        """Return True in the channels to leave out."""
        mask = np.zeros(self._energy.size, bool)
        for low, high in self.ranges:
            mask |= (self._energy >= low) & (self._energy <= high)
        return mask if dtype is None else mask.astype(dtype)

    def __repr__(self) -> str:
        texts = [f"{low:.3g} to {high:.3g} keV" for low, high in self.ranges]
        return f"ChannelMask({', '.join(texts) or 'nothing'})"
