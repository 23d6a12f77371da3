"""Results that are kept by name, and compared: methods of the signal classes."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from exspy.signals import EDSSpectrum

from espm_hs import plotting
from espm_hs.arguments import did_you_mean
from espm_hs.decomposition.cautions import PhaseWarning
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.metadata.reader import item
from espm_hs.metadata.schema import NODE
from espm_hs.metadata.writer import AllOrNothing, remove, write_parameters
from espm_hs.model_selection.cross_validation import check_numbers
from espm_hs.model_selection.n_phases_and_binning import PhaseNumber
from espm_hs.plotting.look import Look, takes_look
from espm_hs.progress import stage
from espm_hs.quantification.comparison import ResultComparison, check_same_pixels
from espm_hs.shown_table import html_table, text_table
from espm_hs.signals._masks import shown_progress
from espm_hs.signals._model_selection import PHASE_NUMBER
from espm_hs.signals._phases import RECORD

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEPT = f"{NODE}.kept"
# What can be the name of a node of metadata, and of a group of a file.
NAME = re.compile(r"[A-Za-z]\w*")
# Of the numbers of phases that are compared.
NUMBERED = "k{}"


class Results(Mapping):
    """Results of a map by their names; `EDSespmSpectrum.results`.

    ``s.results["k3"]`` is a result, ``s.results.keep("k3")`` keeps the present one by
    that name, ``s.results.choose("k3")`` makes it the present one again.
    """

    header = ("result", "phases", "deviance ratio", "objective", "names")

    def __init__(self, signal: Any) -> None:
        self._signal = signal

    @property
    def _kept(self) -> dict[str, Mapping]:
        """Stored results by name."""
        stored = item(self._signal.metadata, KEPT)
        some = stored.items() if isinstance(stored, Mapping) else ()
        return {name: one for name, one in some if isinstance(one, Mapping)}

    def _stored(self, name: Any) -> Mapping:
        """Return what was stored by a name, or say which names there are."""
        kept = self._kept
        if not (isinstance(name, str) and name in kept):
            hint = did_you_mean(str(name), kept)
            there = f"there are {', '.join(kept)}" if kept else "none is kept"
            raise KeyError(
                f"No result has the name {name!r}; {there}.{hint} Keep the present one "
                "with `s.results.keep('name')`."
            )
        return kept[name]

    def __getitem__(self, name: str) -> PhaseAnalysis:
        stored = self._stored(name)
        found = PhaseAnalysis.from_dict(stored)
        loadings = stored.get("loadings")
        if loadings is None:
            return found
        return replace(found, loadings=np.asarray(loadings, float))

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __delitem__(self, name: str) -> None:
        self._stored(name)
        with AllOrNothing(self._signal):
            remove(self._signal.metadata, f"{KEPT}.{name}")

    @property
    def chosen(self) -> str:
        """Name of the kept result that is the present one, "" if none is."""
        try:
            now = self._signal.analysis_results()
        except RuntimeError:
            return ""
        return next((name for name, one in self._readable() if _same(one, now)), "")

    def _readable(self) -> Iterator[tuple[str, PhaseAnalysis]]:
        """Yield the results that are not damaged."""
        for name in self:
            with contextlib.suppress(ValueError):
                yield name, self[name]

    def keep(self, name: str) -> None:
        """Keep the present result by a name; it is saved with the signal.

        Parameters
        ----------
        name
            Letters, digits and underscores. What had the name before is replaced.

        Raises
        ------
        ValueError
            If it cannot be a name.
        RuntimeError
            If there is no espm decomposition of this signal.
        """
        check_result_name(name)
        record = self._signal._kept_result()
        kept = self._kept | {name: record}
        with AllOrNothing(self._signal):
            write_parameters(self._signal.metadata, {KEPT: kept})

    def choose(self, name: str) -> None:
        """Make a kept result the present one, which tables and figures then show.

        Parameters
        ----------
        name
            Of the result. The present one is gone unless it is kept.

        Raises
        ------
        KeyError
            If no result has this name.
        """
        stored = self._stored(name)
        found = self[name]
        n_pixels = int(np.prod(self._signal.data.shape[:-1]))
        if found.loadings is not None and len(found.loadings) != n_pixels:
            found = replace(found, loadings=None)  # of a larger map
        with AllOrNothing(self._signal):
            record = {name: stored[name] for name in RECORD if name in stored}
            self._signal._put_result(found, record)

    def rows(self) -> list[tuple[str, ...]]:
        """Return a line of text for each result."""
        chosen = self.chosen
        return [
            (
                f"{name}{' *' if name == chosen else ''}",
                str(one.n_phases),
                f"{one.misfit:.3g}",
                f"{one.objective:.8g}",
                ", ".join(one.labels),
            )
            for name, one in self._readable()
        ]

    def __repr__(self) -> str:
        if not len(self):
            return "No result is kept: s.results.keep('name') keeps the present one."
        table = text_table(self.header, self.rows(), ("result", "names"))
        return f"{table}\n* is the present one."

    def _repr_html_(self) -> str:
        return html_table(self.header, self.rows(), ["* is the present one."])


def check_result_name(name: Any) -> None:
    """Raise ValueError for what cannot be the name of a result."""
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        raise ValueError(
            f"`name` is {name!r}; needed is a letter and more letters, digits or "
            "underscores, such as 'k3' or 'with_oxygen'."
        )


def _same(one: PhaseAnalysis, other: PhaseAnalysis) -> bool:
    """Whether two results are one."""
    alike = one.labels == other.labels and one.edits == other.edits
    return alike and np.array_equal(one.W, other.W)


class Comparisons(EDSSpectrum):
    """Keeps and compares results; part of `EDSespmSpectrum`."""

    analysis_results: Any
    decomposition: Any
    estimate_number_of_phases: Any
    _deepcopy_with_new_data: Any
    _put_result: Any
    _results: Any
    _with_maps: Any

    @property
    def results(self) -> Results:
        """Results that are kept by name, in `Results`."""
        return Results(self)

    def _kept_result(self) -> dict[str, Any]:
        """Return the present result with its maps and its record, to be stored."""
        found = self._with_maps()
        record = {n: x for n, x in self._results().items() if n in RECORD}
        stored = found.to_dict() | record
        if found.loadings is not None:
            stored["loadings"] = found.loadings
        return stored

    def compare(self, results: Iterable[str] | None = None) -> ResultComparison:
        """Compare results that are kept: fit, phases, and what becomes of each.

        Parameters
        ----------
        results
            Names; None: all that are kept.

        Returns
        -------
        espm_hs.quantification.comparison.ResultComparison
            A table. `plot_comparison` draws it.

        Raises
        ------
        KeyError
            If no result has one of the names.
        ValueError
            If there are fewer than two, or they are of other pixels.
        """
        kept = self.results
        names = list(kept) if results is None else results
        listed = isinstance(names, Iterable) and not isinstance(names, str | bytes)
        names = list(names) if listed else []
        if len(names) < 2 or len({str(name) for name in names}) < len(names):
            raise ValueError(
                f"`results` is {results!r}; needed are two or more different names of "
                f"{', '.join(kept) or 'none that are kept'}. Keep results with "
                "`s.results.keep('name')`, or `s.compare_phase_numbers([2, 3, 4])`."
            )
        analyses = tuple(kept[name] for name in names)
        check_same_pixels(names, analyses)
        held_out = self._held_out(names, analyses)
        return ResultComparison(tuple(names), analyses, held_out, kept.chosen)

    def _held_out(
        self, names: Iterable[str], analyses: Iterable[PhaseAnalysis]
    ) -> np.ndarray:
        """Return losses of held-out counts with their errors, of numbers of phases."""
        stored = item(self.metadata, PHASE_NUMBER)
        curve = None if stored is None else PhaseNumber.from_dict(stored)
        pairs = []
        for name, one in zip(names, analyses, strict=True):
            known = curve is not None and name == NUMBERED.format(one.n_phases)
            pairs.append(curve.of(one.n_phases) if known and curve else (np.nan,) * 2)
        return np.array(pairs, float).T

    def compare_phase_numbers(
        self, numbers: Iterable[int] = (2, 3, 4), **options: Any
    ) -> ResultComparison:
        """Decompose with several numbers of phases, and compare what is found.

        Each result is kept, by the names "k2", "k3", ..., and the number that predicts
        held-out counts best is the present result afterwards.

        Parameters
        ----------
        numbers
            Numbers of phases, at least two.
        **options
            Of `decomposition`; masks, ``n_init``, ``calibration``, ``random_state`` and
            ``n_jobs`` hold for held-out counts, too.

        Returns
        -------
        espm_hs.quantification.comparison.ResultComparison
            A table. `plot_comparison` draws it, and ``s.results.choose("k2")`` chooses
            another one.

        Raises
        ------
        ValueError, TypeError
            If an argument makes no sense; then nothing is changed.

        Examples
        --------
        >>> compared = s.compare_phase_numbers([2, 3])  # doctest: +SKIP
        >>> s.plot_comparison()  # doctest: +SKIP
        """
        tried = check_numbers("numbers", numbers, "[2, 3, 4]")
        if taken := {"output_dimension", "algorithm", "init"} & set(options):
            raise TypeError(
                f"`{min(taken)}` is not for comparing numbers of phases, each of which "
                "is found anew. Leave it out."
            )
        # what is found goes to a signal of the same data until all of it is there
        trial = self._deepcopy_with_new_data(self.data)
        quiet = {"print_info": False, **options}
        kept = {}
        with warnings.catch_warnings():
            # of numbers that are too many; the table is what tells
            warnings.simplefilter("ignore", PhaseWarning)
            shared = {name: options[name] for name in _HELD_OUT if name in options}
            with shown_progress(options.get("show_progressbar"), "comparing numbers"):
                for n, k in enumerate(tried):
                    # counts are held out several times, which takes as long as the rest
                    with stage(1 / (2 * len(tried) - n)):
                        trial.decomposition(
                            algorithm="espm", output_dimension=k, **quiet
                        )
                    kept[NUMBERED.format(k)] = trial._kept_result()
                best = trial.estimate_number_of_phases(tried, **shared)
        items = {KEPT: self.results._kept | kept}
        items[PHASE_NUMBER] = item(trial.metadata, PHASE_NUMBER)
        with AllOrNothing(self):
            write_parameters(self.metadata, items)
            self.results.choose(NUMBERED.format(best))
        return self.compare(kept)

    @takes_look("ax", "figsize")
    def plot_comparison(
        self, results: Iterable[str] | None = None, *, look: Look
    ) -> Figure:
        """Plot kept results side by side: maps, compositions, what becomes of what.

        Parameters
        ----------
        results
            Names; None: all that are kept.
        {look}

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        KeyError, ValueError
            As `compare`; ValueError if a keyword makes no sense.
        """
        return plotting.plot_comparison(self, self.compare(results), look=look)


# Options of a decomposition that hold for held-out counts, too.
_HELD_OUT = (
    *("n_init", "calibration", "navigation_mask", "signal_mask"),
    *("random_state", "n_jobs", "show_progressbar"),
)
