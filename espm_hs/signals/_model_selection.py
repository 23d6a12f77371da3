"""How many phases, and which binning: methods of the signal classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from exspy.signals import EDSSpectrum

from espm_hs import plotting
from espm_hs.calibration.automatic import calibration_text
from espm_hs.decomposition.cautions import listed
from espm_hs.decomposition.decompose import Changes
from espm_hs.decomposition.result import BAD_FIT
from espm_hs.factorization import USUAL_SPARSITY, Penalties
from espm_hs.metadata.reader import item
from espm_hs.metadata.schema import NODE
from espm_hs.metadata.writer import AllOrNothing, write_parameters
from espm_hs.model_selection.cross_validation import Comparison, CrossValidation
from espm_hs.model_selection.n_phases_and_binning import (
    BinningChoice,
    PhaseNumber,
    choose_binning,
    estimate_number,
)
from espm_hs.plotting.look import Look, takes_look
from espm_hs.signals._masks import shown_progress, used_channels, used_pixels

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal
    from matplotlib.figure import Figure

PHASE_NUMBER = f"{NODE}.number_of_phases"
BINNING = f"{NODE}.best_binning"
# What is said where a model does not fit after it was refined.
_MISFIT = (
    "The model does not fit{where}, and what it lacks may be counted as phases. Ask "
    "s.identify_elements() which elements are missing."
)


def say_refinements(changes: Mapping[str, Changes]) -> None:
    """Print what was refined in the model of each map, and where it does not fit.

    "" is the name of a map alone.
    """
    for name, changed in changes.items():
        for line in calibration_text(changed):
            print(f"{name}: {line}" if name else line)
    bad = [x for x, y in changes.items() if y.get("deviance_after", 0) > BAD_FIT]
    if bad:
        print(_MISFIT.format(where=f" ({listed(bad)})" if any(bad) else ""))


class ModelSelection(EDSSpectrum):
    """Finds what the counts bear out by holding some out; part of `EDSespmSpectrum`."""

    def estimate_number_of_phases(
        self,
        numbers: Iterable[int] = range(1, 8),
        *,
        n_thinnings: int = 4,
        n_init: int = 4,
        sparsity: float = USUAL_SPARSITY,
        calibration: str = "auto",
        navigation_mask: BaseSignal | np.ndarray | float | None = None,
        signal_mask: BaseSignal | np.ndarray | None = None,
        random_state: int | np.random.Generator | None = 0,
        n_jobs: int = -1,
        show_progressbar: bool | None = None,
        plot: bool = False,
    ) -> int:
        """Find how many phases the counts bear out.

        A fifth of the counts, drawn at random, is held out. The phases that are found
        in the others predict it the better the truer they are; those that only fit
        noise make the prediction worse. The result is the smallest number that
        predicts no worse than the best, within a standard error.

        Parameters
        ----------
        numbers
            Numbers of phases to compare, at least two. They are tried from the
            smallest on, until two in a row predict worse than a smaller one in every
            draw.
        n_thinnings
            How often counts are held out, at least twice.
        n_init, sparsity, calibration, random_state, n_jobs
            As in `decomposition`.
        navigation_mask, signal_mask
            As in `decomposition`: True where pixels and channels are left out.
        show_progressbar
            None for HyperSpy's preference.
        plot
            Show the figure of `plot_number_of_phases`.

        Returns
        -------
        int
            The number; the curve is kept in ``metadata.EDS_espm.number_of_phases``,
            with the angles by which phases turn from one draw to another.

        Raises
        ------
        ValueError
            If an argument makes no sense, or the data are not integer counts.
        """
        found = self._compare(
            PHASE_NUMBER,
            partial(estimate_number, numbers=numbers),
            show_progressbar,
            calibration,
            penalties=Penalties(sparsity),
            pixels=used_pixels(self, navigation_mask),
            channels=used_channels(self, signal_mask),
            n_thinnings=n_thinnings,
            n_init=n_init,
            random_state=random_state,
            n_jobs=n_jobs,
        )
        if plot:
            self.plot_number_of_phases()
        return found.best

    def estimate_binning(
        self,
        output_dimension: int,
        binnings: Iterable[int] | None = None,
        *,
        n_thinnings: int = 4,
        n_init: int = 4,
        sparsity: float = USUAL_SPARSITY,
        calibration: str = "auto",
        navigation_mask: BaseSignal | np.ndarray | float | None = None,
        signal_mask: BaseSignal | np.ndarray | None = None,
        random_state: int | np.random.Generator | None = 0,
        n_jobs: int = -1,
        show_progressbar: bool | None = None,
        plot: bool = False,
    ) -> int:
        """Find the binning of the map that trades noise against resolution best.

        A fifth of the counts, drawn at random, is held out. The phases of the others
        are mapped with each binning, and the maps predict what was held out in each
        pixel: badly where they are noisy, and where a bin hides what is inside. The
        result is the smallest binning that predicts no worse than the best, within two
        standard errors.

        Parameters
        ----------
        output_dimension
            Number of phases.
        binnings
            Pixels along each axis to take together, at least two candidates. None: from
            1 to 32, as long as 16 bins are left.
        n_thinnings
            How often counts are held out, at least twice.
        n_init, sparsity, calibration, random_state, n_jobs
            As in `decomposition`.
        navigation_mask, signal_mask
            As in `decomposition`: True where pixels and channels are left out.
        show_progressbar
            None for HyperSpy's preference.
        plot
            Show the figure of `plot_binning`.

        Returns
        -------
        int
            The binning; the curve is kept in ``metadata.EDS_espm.best_binning``.

        Raises
        ------
        ValueError
            If an argument makes no sense, or the data are not integer counts.

        Notes
        -----
        It is meant for maps that you bin yourself, to look at them or to make a large
        map small. `decomposition` needs no binned data: by itself it finds phases in
        bins and smooths maps in full resolution.

        Examples
        --------
        >>> b = s.estimate_binning(3)
        >>> binned = s.rebin(scale=(b, b, 1))
        >>> binned.axes_manager.navigation_shape == (24 // b, 24 // b)
        True
        """
        found = self._compare(
            BINNING,
            partial(choose_binning, n_phases=output_dimension, binnings=binnings),
            show_progressbar,
            calibration,
            penalties=Penalties(sparsity),
            pixels=used_pixels(self, navigation_mask),
            channels=used_channels(self, signal_mask),
            n_thinnings=n_thinnings,
            n_init=n_init,
            random_state=random_state,
            n_jobs=n_jobs,
        )
        if plot:
            self.plot_binning()
        return found.best

    def _compare(
        self,
        kept: str,
        estimate: Callable[..., Comparison],
        show_progressbar: bool | None,
        calibration: str,
        **options: Any,
    ) -> Comparison:
        """Return what ``estimate`` finds, and keep it as an item of the metadata.

        It is called with the map, and how counts are held out.
        """
        refinement = self._refinement(calibration)
        model = self._model_to_fit(refinement)
        trial = CrossValidation(self.data, model, refinement=refinement, **options)
        with shown_progress(show_progressbar, "held-out counts"):
            found = estimate(trial)
        with AllOrNothing(self):
            write_parameters(self.metadata, {kept: found.to_dict()})
        say_refinements({"": trial.calibration})
        return found

    @takes_look("ax", "figsize")
    def plot_number_of_phases(self, *, look: Look) -> Figure:
        """Plot how well each number of phases predicts held-out counts.

        Parameters
        ----------
        {look}

        Raises
        ------
        RuntimeError
            If `estimate_number_of_phases` was not called before.
        """
        stored = self._compared(PHASE_NUMBER, "s.estimate_number_of_phases()")
        found = PhaseNumber.from_dict(stored)
        return plotting.plot_phase_number(found, look=look)

    @takes_look("ax", "figsize")
    def plot_binning(self, *, look: Look) -> Figure:
        """Plot how well maps of each binning predict held-out counts.

        Parameters
        ----------
        {look}

        Raises
        ------
        RuntimeError
            If `estimate_binning` was not called before.
        """
        stored = self._compared(BINNING, "s.estimate_binning(3)")
        found = BinningChoice.from_dict(stored)
        return plotting.plot_binning(found, look=look)

    def _compared(self, where: str, call: str) -> dict[str, Any]:
        """Return a comparison that was kept, or say which call makes it."""
        stored = item(self.metadata, where)
        if stored is None:
            raise RuntimeError(f"There is nothing to plot yet. Call `{call}`.")
        return stored
