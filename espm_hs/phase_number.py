"""How many phases: a method of the signal classes."""

from __future__ import annotations

from collections.abc import Iterable

import hyperspy.api as hs
from hyperspy.external.progressbar import progressbar

from espm_hs import analysis
from espm_hs.analysis.parameters import NODE
from espm_hs.masks import used_channels, used_pixels

PHASE_NUMBER = f"{NODE}.number_of_phases"


class PhaseNumberEstimation:
    """Finds the number of phases; part of `EDSespmSpectrum`."""

    def estimate_number_of_phases(
        self,
        numbers: Iterable[int] = range(1, 8),
        *,
        n_thinnings: int = 4,
        n_init: int = 4,
        sparsity: float = 1.0,
        navigation_mask=None,
        signal_mask=None,
        random_state=0,
        n_jobs: int = -1,
        show_progressbar: bool | None = None,
        plot: bool = False,
    ) -> int:
        """Find how many phases the counts bear out.

        A fifth of the counts, drawn at random, is set aside. The phases that are found
        in the others predict it the better the truer they are; those that only fit
        noise make the prediction worse. The result is the smallest number that
        predicts no worse than the best, within two standard errors.

        Parameters
        ----------
        numbers
            Numbers of phases to compare, at least two.
        n_thinnings
            How often counts are set aside, at least twice.
        n_init, sparsity, random_state, n_jobs
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
            The number; the curve is kept in ``metadata.EDS_espm.number_of_phases``.

        Raises
        ------
        ValueError
            If an argument makes no sense, or the data are not integer counts.
        """
        numbers = list(numbers)
        if show_progressbar is None:
            show_progressbar = hs.preferences.General.show_progressbar
        model = self.physical_model()
        pixels = used_pixels(self, navigation_mask)
        channels = used_channels(self, signal_mask)
        bar = progressbar(
            total=len(set(numbers)) * n_thinnings if numbers else 0,
            disable=not show_progressbar,
            desc="number of phases",
        )
        try:
            found = analysis.estimate_number(
                self.data,
                model,
                numbers,
                pixels=pixels,
                channels=channels,
                n_thinnings=n_thinnings,
                n_init=n_init,
                sparsity=sparsity,
                random_state=random_state,
                n_jobs=n_jobs,
                callback=lambda: bar.update(1),
            )
        finally:
            bar.close()
        analysis.write_parameters(self.metadata, {PHASE_NUMBER: found.to_dict()})
        if plot:
            self.plot_number_of_phases()
        return found.best

    def plot_number_of_phases(self):
        """Plot how well each number of phases predicts counts that were set aside.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        RuntimeError
            If `estimate_number_of_phases` was not called before.
        """
        from espm_hs import plotting

        stored = self.metadata.get_item(PHASE_NUMBER)
        if stored is None:
            raise RuntimeError(
                "There is nothing to plot yet. Call `s.estimate_number_of_phases()`."
            )
        found = analysis.PhaseNumber.from_dict(stored.as_dictionary())
        return plotting.plot_phase_number(found)
