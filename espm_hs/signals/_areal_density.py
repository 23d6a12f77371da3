"""How much of what there is: methods of the signal classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dask.array as da
import numpy as np

from espm_hs.arguments import check_choice
from espm_hs.metadata import exposure, reader
from espm_hs.quantification.areal_density import (
    absorbing_mass_thickness,
    areal_densities,
    check_thickness,
    mass_thicknesses,
    nm_per_mass,
    pixel_amounts,
)
from espm_hs.signals._tagged import check_target, phase_axis, with_variance


class Amounts:
    """Turns the phases of a decomposition into amounts; part of `EDSespmSpectrum`."""

    def estimate_areal_densities(
        self,
        elements: Sequence[str] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
    ) -> list:
        """Atoms of each element per area, in each pixel.

        Beam current, live time, what that is the time of, and solid angle must be
        known: see `set_analysis_parameters`.

        Parameters
        ----------
        elements, oxygen
            As in `quantify`.

        Returns
        -------
        list of hyperspy.api.signals.BaseSignal
            Atoms per nm2, one map for each element, with the variance that the counts
            imply (for phases taken as known).

        Raises
        ------
        RuntimeError, ValueError
            As `quantify`; and if the dose is not known.
        """
        found, dose = self.analysis_results(), exposure.dose(self.metadata)
        symbols, per_loading = areal_densities(found, dose, elements, oxygen)
        maps = self._amount_maps(found, per_loading)
        return [
            with_variance(
                f"atoms per nm2 of {symbol}", *pair, self._map_axes(), [symbol]
            )
            for symbol, pair in zip(symbols, maps, strict=True)
        ]

    def estimate_mass_thickness(
        self,
        target: str = "pixels",
        method: str | None = None,
        elements: Sequence[str] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
    ):
        """Mass thickness in kg/m2, from the dose or from absorption alone.

        Parameters
        ----------
        target
            "pixels" for a map; "phases" for a map of what each phase contributes.
        method
            "dose": atoms per area times their masses; beam current, live time, what
            that is the time of, and solid angle must be known. "absorption": from the
            summed spectrum, in which the sample absorbs some lines more than others;
            one number for the whole map. None: "dose" if that is known.
        elements, oxygen
            As in `quantify`: what has mass. Elements that cannot be seen, like
            hydrogen, are missed. Not for "absorption".

        Returns
        -------
        hyperspy.api.signals.BaseSignal
            A map; maps along an axis "Phase"; or a single value. The variance is that
            of the counts.

        Raises
        ------
        RuntimeError, ValueError
            As `quantify`; and if the dose is not known, or, for the absorption, the
            take-off angle.

        Warns
        -----
        UserWarning
            If the dose speaks for another thickness, by more than a factor of two, than
            the thickness and density that are set.

        Notes
        -----
        Absorption is seen in elements with lines of very different energies in one
        column: set ``split_lines={"Fe": None}`` where the L lines are reliable. What it
        shows of an uneven foil is the mean weighted by the photons, i.e. by the
        thickness itself where little is absorbed.
        """
        check_target(target)
        check_choice("method", method, ("dose", "absorption", None))
        if method is None:
            method = "dose" if exposure.has_dose(self.metadata) else "absorption"
        if method == "absorption":
            value, error = absorbing_mass_thickness(
                self.physical_model(thickness=100.0, density=1.0), self._summed()
            )
            axes = [{"name": "Map", "size": 1, "navigate": True}]
            pair = np.array([value]), np.array([error**2])
            return with_variance("Mass thickness", *pair, axes)
        return self._mass_thickness(target, elements, oxygen)

    def estimate_thickness(
        self,
        density: float | Sequence[float] | None = None,
        target: str = "pixels",
        elements: Sequence[str] | None = None,
        oxygen: str | Mapping[str, float] = "measured",
    ):
        """Thickness in nm, from the dose.

        Parameters
        ----------
        density
            g/cm3, of the sample or of each phase. None: that of the metadata.
        target, elements, oxygen
            As in `estimate_mass_thickness`.

        Returns
        -------
        hyperspy.api.signals.BaseSignal
            Map of the thickness, or of the part of each phase in it.

        Raises
        ------
        RuntimeError, ValueError
            As `estimate_mass_thickness`; and if there is no density.
        """
        check_target(target)
        if density is None:
            density = reader.density(self.metadata)
        if density is None:
            raise ValueError(
                "A thickness needs a density. Give it, "
                "`s.estimate_thickness(density=...)` (g/cm3, a number or one for each "
                "phase), or set it with `s.set_analysis_parameters(density=...)`."
            )
        return self._mass_thickness(target, elements, oxygen, density)

    def _mass_thickness(self, target, elements, oxygen, density=None):
        """Mass thickness in kg/m2, or, with a density, thickness in nm."""
        found, dose = self.analysis_results(), exposure.dose(self.metadata)
        mass = mass_thicknesses(found, dose, elements, oxygen)
        scale, title = np.ones(found.n_phases), "Mass thickness"
        if density is not None:
            scale, title = nm_per_mass(density, found.n_phases), "Thickness"
        loadings = self._loadings(found)
        check_thickness(found.model, loadings @ mass)
        if target == "pixels":
            [(values, variance)] = self._amount_maps(found, (mass * scale)[None, :])
            return with_variance(title, values, variance, self._map_axes())
        maps = zip(*self._amount_maps(found, np.diag(mass * scale)), strict=True)
        stack = da.stack if self._lazy_maps else np.stack
        values, variance = (stack(one) for one in maps)
        axes = [*phase_axis(found), *self._map_axes()]
        return with_variance(title, values, variance, axes)

    def _amount_maps(self, found, per_loading):
        """Amounts and variances, shaped as the map, for each row of per_loading."""
        maps = pixel_amounts(
            found, self.data, self._loadings(found), per_loading, lazy=self._lazy_maps
        )
        return list(zip(*maps, strict=True))
