"""From phases to counts: spectra by the X-ray physics, then Poisson noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from espm_hs.physics import SpectrumModel

# Rounding allowed in shares that must add up to 1.
_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Simulation:
    """
    Counts, and the truth behind them.

    Attributes
    ----------
    counts : array of unsigned integers, shape (*navigation, n_channels)
        The measurement, in the smallest type that holds it.
    spectra : array, shape (n_channels, n_phases)
        Spectrum of each phase without noise, of sum 1.
    abundances : array, shape (*navigation, n_phases)
        Share of the counts of a pixel that comes from each phase.
    compositions : tuple of dict
        Atomic fractions of each phase, by symbol.
    """

    counts: np.ndarray
    spectra: np.ndarray
    abundances: np.ndarray
    compositions: tuple[dict[str, float], ...]


def simulate_counts(
    model: SpectrumModel,
    compositions: Sequence[Mapping[str, float]],
    abundances: ArrayLike,
    counts_per_pixel: ArrayLike,
    *,
    background: ArrayLike = 0.1,
    stray: Mapping[str, float] | None = None,
    seed: int | np.random.Generator = 0,
) -> Simulation:
    """
    Simulate the spectrum image of a sample.

    Parameters
    ----------
    model : SpectrumModel
        Physics, with all elements of the phases.
    compositions : sequence of mapping of str to float
        For each phase symbol -> atomic fraction (normalised here).
    abundances : array, shape (*navigation, n_phases)
        Share of the counts of each pixel that comes from each phase, of sum 1.
    counts_per_pixel : float or array of shape navigation
        Expected number of counts of a pixel, over the whole energy axis.
    background, stray
        As in `phase_spectra`.
    seed : int or numpy.random.Generator
        The same seed gives the same counts.

    Returns
    -------
    Simulation

    Raises
    ------
    ValueError
        If shapes do not belong together, or values are out of range.

    Notes
    -----
    Where counts are fewer than channels, those of a phase in a pixel are drawn as one
    Poisson number of X-rays, which then fall into channels with the probabilities of
    the spectrum: the same law as a Poisson number for each channel, at a cost in
    proportion to the counts. Pixels are drawn in small blocks, so that no array of
    expected counts, channels x pixels, is ever made.
    """
    shares = _checked_abundances(abundances, len(compositions))
    expected = np.asarray(counts_per_pixel, dtype=float)
    if not np.all(np.isfinite(expected)) or np.any(expected < 0):
        raise ValueError(
            "counts_per_pixel must be 0 or more and finite, found "
            f"{expected.min():g} to {expected.max():g}."
        )
    spectra = phase_spectra(model, compositions, background=background, stray=stray)
    numbers = shares * np.broadcast_to(expected, shares.shape[:-1])[..., None]
    counts = _draw(numbers.reshape(-1, spectra.shape[1]), spectra, seed)
    return Simulation(
        counts=counts.reshape(*shares.shape[:-1], spectra.shape[0]),
        spectra=spectra,
        abundances=shares,
        compositions=tuple(
            {symbol: x / sum(phase.values()) for symbol, x in phase.items()}
            for phase in compositions
        ),
    )


def phase_spectra(
    model: SpectrumModel,
    compositions: Sequence[Mapping[str, float]],
    *,
    background: ArrayLike = 0.1,
    stray: Mapping[str, float] | None = None,
) -> np.ndarray:
    """
    Spectra of phases without noise.

    Parameters
    ----------
    model : SpectrumModel
        Physics, with all elements of the phases. If it has a thickness and names no
        absorbing composition, each phase absorbs by its own composition.
    compositions : sequence of mapping of str to float
        For each phase symbol -> atomic fraction (normalised here).
    background : float or array
        Share of the counts that is bremsstrahlung: one number, one for each phase, or
        one for each phase and term of the background, shape (n_phases, n_terms).
        Ignored if the model has no background.
    stray : mapping of str to float, optional
        Stray element of the model -> share of the counts in its lines, the same in
        all phases. Those not named: none.

    Returns
    -------
    array, shape (n_channels, n_phases)
        Of sum 1.

    Raises
    ------
    ValueError
        If a phase has elements that the model has not, or the shares of background
        and stray elements leave nothing for the phase.
    """
    kinds = np.array([column.kind for column in model.columns])
    n_terms = int((kinds == "background").sum())
    terms = _background_shares(background, len(compositions), n_terms)
    spectra = np.empty((model.energy.size, len(compositions)))
    for j, composition in enumerate(compositions):
        own = _with_own_absorption(model, composition)
        sums = own.G.sum(axis=0)
        weights = _line_weights(model, composition)
        extra = _stray_weights(model, stray or {}, sums)
        extra[kinds == "background"] = terms[j] / sums[kinds == "background"]
        left = 1 - extra @ sums
        if left <= 0:
            raise ValueError(
                f"background and stray take {1 - left:.2f} of the counts of phase {j}, "
                "which leaves nothing for its lines: their shares must add up to less "
                "than 1."
            )
        weights *= left / (weights @ sums)
        spectra[:, j] = own.G @ (weights + extra)
    return spectra


def _with_own_absorption(model, composition):
    if model.mass_thickness == 0 or model.composition is not None:
        return model
    return model.replace(composition=dict(composition))


def _line_weights(model, composition) -> np.ndarray:
    """Weight of each column: the atomic fraction for all lines of an element."""
    unknown = sorted(set(composition) - set(model.elements))
    if unknown:
        raise ValueError(
            f"A phase contains {', '.join(unknown)}, which the model has not: it knows "
            f"{', '.join(model.elements)}. Add them to the elements of the model."
        )
    return np.array(
        [
            composition.get(column.element, 0.0)
            if column.kind in ("element", "line")
            else 0.0
            for column in model.columns
        ]
    )


def _stray_weights(model, stray, sums) -> np.ndarray:
    """Weights of the stray columns; families keep the ratio of the atomic data."""
    unknown = sorted(set(stray) - set(model.stray_elements))
    if unknown:
        raise ValueError(
            f"stray names {', '.join(unknown)}, which the model has not: build it with "
            f"stray_elements={sorted({*model.stray_elements, *unknown})}."
        )
    weights = np.zeros(len(model.columns))
    for element, share in stray.items():
        own = np.array(
            [c.kind == "stray" and c.element == element for c in model.columns]
        )
        weights[own] = share / sums[own].sum()
    return weights


def _background_shares(background, n_phases, n_terms) -> np.ndarray:
    """Shares of the background terms, shape (n_phases, n_terms)."""
    shares = np.asarray(background, dtype=float)
    if shares.ndim < 2 and n_terms:
        # real backgrounds are mostly made of the terms that fall with energy
        mix = np.arange(1, n_terms + 1) / (n_terms * (n_terms + 1) / 2)
        shares = np.multiply.outer(shares, mix)
    try:
        shares = np.broadcast_to(shares, (n_phases, n_terms))
    except ValueError:
        raise ValueError(
            f"background has shape {np.shape(background)}; give a number, {n_phases} "
            f"numbers (one for each phase), or shape ({n_phases}, {n_terms})."
        ) from None
    if np.any(shares < 0):
        raise ValueError(f"background must not be negative, found {shares.min():g}.")
    return shares


def _checked_abundances(abundances, n_phases) -> np.ndarray:
    shares = np.asarray(abundances, dtype=float)
    if shares.ndim == 0 or shares.shape[-1] != n_phases:
        raise ValueError(
            f"abundances has shape {shares.shape}; needed is one entry for each of the "
            f"{n_phases} phases along the last axis."
        )
    off = np.abs(shares.sum(axis=-1) - 1).max()
    if shares.min() < 0 or off > _ROUNDING:
        raise ValueError(
            "abundances must not be negative and add up to 1 in each pixel; found a "
            f"minimum of {shares.min():g} and sums that are off by up to {off:.2g}."
        )
    return shares


def _draw(numbers: np.ndarray, spectra: np.ndarray, seed) -> np.ndarray:
    """
    Draw Poisson counts.

    Parameters
    ----------
    numbers : array, shape (n_pixels, n_phases)
        Expected counts.
    spectra : array, shape (n_channels, n_phases)
        Of sum 1.
    seed : int or Generator

    Returns
    -------
    array of unsigned integers, shape (n_pixels, n_channels)
    """
    rng = np.random.default_rng(seed)
    n_channels = spectra.shape[0]
    cumulated = np.cumsum(spectra, axis=0)
    cumulated /= cumulated[-1]
    counts = np.zeros((numbers.shape[0], n_channels), dtype=np.uint8)
    for first, block in _blocks(numbers):
        if block.sum() > len(block) * n_channels:
            found = rng.poisson(block @ spectra.T)
        else:
            found = _scatter(block, cumulated, rng)
        needed = np.min_scalar_type(found.max(initial=0))
        if needed.itemsize > counts.itemsize:
            counts = counts.astype(needed)
        counts[first : first + len(block)] = found
    return counts


def _scatter(numbers, cumulated, rng) -> np.ndarray:
    """Draw X-ray after X-ray: Poisson numbers of them, then the channel of each."""
    n_channels = len(cumulated)
    cells = []
    for j in range(numbers.shape[1]):
        pixel = np.repeat(np.arange(len(numbers)), rng.poisson(numbers[:, j]))
        events = rng.random(pixel.size)
        channel = np.searchsorted(cumulated[:, j], events, side="right")
        cells.append(pixel * n_channels + channel)
    size = len(numbers) * n_channels
    return np.bincount(np.concatenate(cells), minlength=size).reshape(-1, n_channels)


def _blocks(numbers: np.ndarray, size: int = 64):
    """Blocks of pixels, with the position of their first one."""
    for first in range(0, len(numbers), size):
        yield first, numbers[first : first + size]
