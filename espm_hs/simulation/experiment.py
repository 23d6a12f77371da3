"""A measurement of a known sample: its means, and draws of its counts."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from espm_hs.arguments import check_number, generator
from espm_hs.physics import BulkModel, SpectrumModel
from espm_hs.simulation.bulk import bulk_spectra
from espm_hs.simulation.effects import Effects
from espm_hs.simulation.emission import Emission, Phase
from espm_hs.simulation.photons import (
    LocalAbsorption,
    OwnAbsorption,
    counted,
    stacked,
    stretched,
    stretched_means,
)

# Pixels drawn at a time: what is dense of them stays small.
_BLOCK = 1024


class Experiment:
    """Spectrum image of a sample of known phases.

    Parameters
    ----------
    model
        Physics as its user knows it, with all elements of the phases.
    phases
        Materials.
    thickness
        Shape (*navigation, n_phases). Of each phase in each pixel, nm; 0 or more. Of
        bulk samples, see `BulkModel`, the shares of the phases in each pixel.
    counts_per_pixel
        Expected counts of a pixel over the whole energy axis, mean of the map. Sets
        the dose.
    stray
        Stray element of the model -> share in the counts of each phase of its lines:
        what scattered electrons excite in the grid.
    effects
        What the model does not know.

    Attributes
    ----------
    true_model
        Physics with the effects.
    dose
        Electrons of a pixel x share of the sphere that the detector covers.
    spectra
        Shape (n_channels, n_phases). Of the phases, without noise, of sum 1: each
        within a foil of itself that has the mass thickness of the model.

    Raises
    ------
    ValueError
        If arrays do not belong together, or values are out of range.

    Notes
    -----
    Without effects a phase has the same spectrum in all pixels, as in the fit, and
    the spectrum of a pixel is the sum over its phases of thickness x spectrum.
    """

    def __init__(
        self,
        model: SpectrumModel,
        phases: Sequence[Phase],
        thickness: ArrayLike,
        counts_per_pixel: float = 100.0,
        *,
        stray: Mapping[str, float] | None = None,
        effects: Effects | None = None,
    ):
        self.model = model
        self.phases = tuple(phases)
        self.thickness = _checked_thickness(thickness, len(self.phases))
        check_number("counts_per_pixel", counts_per_pixel, 0, 1e9, above=True)
        if not isinstance(effects, Effects | None):
            raise TypeError(f"`effects` must be Effects, got {effects!r}.")
        self.effects = effects or Effects()
        self.true_model = self.effects.true_model(model)
        self._sample: OwnAbsorption | LocalAbsorption
        if isinstance(self.true_model, BulkModel):
            spectra = self._of_bulk(self.true_model, stray or {})
            self._sample = OwnAbsorption(spectra)
        else:
            emission = Emission(
                self.true_model,
                self.phases,
                stray or {},
                self.effects.background_exponent,
            )
            # foils of the phases as heavy as that of the model
            density = np.array([phase.density for phase in self.phases])
            spectra = emission.spectra(1e6 * self.true_model.mass_thickness / density)
            self._sample = OwnAbsorption(spectra)
            if self.effects.local_absorption:
                self._sample = LocalAbsorption(emission)
        self.spectra = spectra / spectra.sum(axis=0)
        self._expose(counts_per_pixel)

    def _of_bulk(self, model: BulkModel, stray: Mapping[str, float]) -> np.ndarray:
        """Spectra of bulk samples, which have no effects of films."""
        if self.effects.local_absorption or self.effects.background_exponent:
            raise ValueError(
                "`local_absorption` and `background_exponent` are effects of films; "
                "leave them out of the effects on a bulk sample."
            )
        return bulk_spectra(model, self.phases, stray)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the map."""
        return self.thickness.shape[:-1]

    @property
    def composition(self) -> np.ndarray:
        """Atomic fractions of the elements of the model, (n_elements, n_phases)."""
        parts = [phase.composition for phase in self.phases]
        return np.array([[x.get(e, 0.0) for x in parts] for e in self.model.elements])

    def expected(self) -> np.ndarray:
        """Means of the counts.

        Returns
        -------
        array, shape (*navigation, n_channels)
            float64: as large as eight maps of bytes.
        """
        means = [self._means(pixels) for pixels in self._blocks()]
        return np.concatenate(means).reshape(*self.shape, -1)

    def counts(self, seed: int | np.random.Generator = 0) -> csr_array:
        """Draw Poisson counts.

        Parameters
        ----------
        seed
            The same seed gives the same counts.

        Returns
        -------
        csr_array, shape (n_pixels, n_channels)
            In the smallest unsigned type that holds them.

        Notes
        -----
        Where photons are fewer than channels they are followed one by one, from the
        source through the sample to the channel. That is the same law as a Poisson
        number for each channel, at a cost in proportion to the counts.
        """
        rng = generator(seed, "seed")
        return stacked(self._draw(pixels, rng) for pixels in self._blocks())

    def _expose(self, counts_per_pixel: float) -> None:
        """Find the dose of each pixel that gives the wanted counts."""
        flat = self.thickness.reshape(-1, len(self.phases))
        rates = np.concatenate([self._sample.totals(flat[p]) for p in self._blocks()])
        share = sum(self.effects.hole_counts.values())
        hole = self.effects.hole_spectrum(self.true_model)
        self._hole = hole * rates.mean() * share / (1 - share)
        exposure = self.effects.exposure(self.shape).ravel()
        seen = (rates + self._hole.sum()) * exposure
        live = self.effects.live(seen)
        recorded = seen * live
        if recorded.mean() == 0:
            raise ValueError("The sample is empty: its thickness is 0 in all pixels.")
        self.dose = float(counts_per_pixel / recorded.mean())
        self._doses = self.dose * exposure * live
        self._rates = self.dose * recorded
        self._gains = self.effects.gains(self.shape).ravel()
        self._flat = flat

    def _means(self, pixels: slice) -> np.ndarray:
        """Means of the counts of some pixels, shape (n, n_channels)."""
        means = self._sample.means(self._flat[pixels]) + self._hole
        means *= self._doses[pixels, None]
        return stretched_means(means, self.model.energy, self._gains[pixels])

    def _draw(self, pixels: slice, rng: np.random.Generator) -> csr_array:
        doses, energy = self._doses[pixels], self.model.energy
        if self._rates[pixels].mean() > energy.size:
            return csr_array(rng.poisson(self._means(pixels)))
        pixel, channel = self._sample.photons(self._flat[pixels], doses, rng)
        if self._hole.any():
            more = self._stray.photons(np.ones((doses.size, 1)), doses, rng)
            pixel, channel = np.concatenate([(pixel, channel), more], axis=1)
        gains = self._gains[pixels]
        if np.any(gains != 1):
            pixel, channel = stretched(pixel, channel, energy, gains, rng)
        return counted(pixel, channel, (doses.size, energy.size))

    @cached_property
    def _stray(self) -> OwnAbsorption:
        """Hole counts, drawn like those of a phase that is 1 nm thick everywhere."""
        return OwnAbsorption(self._hole[:, None])

    def _blocks(self) -> Iterator[slice]:
        n_pixels = int(np.prod(self.shape))
        for first in range(0, n_pixels, _BLOCK):
            yield slice(first, min(first + _BLOCK, n_pixels))


def _checked_thickness(thickness: ArrayLike, n_phases: int) -> np.ndarray:
    maps = np.asarray(thickness, dtype=float)
    if maps.ndim == 0 or maps.shape[-1] != n_phases or maps.size == 0:
        raise ValueError(
            f"thickness has shape {maps.shape}; needed is one entry for each of the "
            f"{n_phases} phases along the last axis."
        )
    if not np.all(np.isfinite(maps)) or maps.min() < 0:
        raise ValueError(
            "thickness must be finite and not negative, found "
            f"{maps.min():g} to {maps.max():g} nm."
        )
    return maps
