"""What a decomposition cannot be done with, said before the data are read."""

from __future__ import annotations

from numbers import Real

import numpy as np

from espm_hs.factorization import STRONGEST

# An element can be quantified if this share of its counts is in channels in use.
MIN_SHARE = 0.01


def check_size(n_phases, navigation, pixels, channels):
    """Raise ValueError for a number of phases the data cannot bear."""
    if n_phases is None:
        raise ValueError(
            "The number of phases is not given. Say how many to look for with "
            "`s.decomposition(algorithm='espm', output_dimension=3)`; "
            "`s.estimate_number_of_phases()` finds how many there are."
        )
    if isinstance(n_phases, bool) or not isinstance(n_phases, (int, np.integer)):
        raise ValueError(f"`output_dimension` must be an integer, got {n_phases!r}.")
    n_pixels = int(np.prod(navigation)) if pixels is None else int(pixels.sum())
    if n_pixels == 0:
        raise ValueError(
            "All pixels are masked. In `navigation_mask`, True means left out: give "
            "the inverse mask, or none."
        )
    if not channels.any():
        raise ValueError(
            "All channels are masked. In `signal_mask`, True means left out: give the "
            "inverse mask, or none."
        )
    largest = min(n_pixels, int(channels.sum()))
    if not 1 <= n_phases <= largest:
        raise ValueError(
            f"`output_dimension` is {n_phases}, but must be between 1 and {largest} "
            f"for {n_pixels} pixels and {int(channels.sum())} channels in use."
        )


def check_strengths(sparsity, smoothness):
    """Raise ValueError for strengths that are neither numbers nor "auto"."""
    several = isinstance(smoothness, list | tuple | np.ndarray) and np.ndim(smoothness)
    for name, values in (
        ("sparsity", [sparsity]),
        ("smoothness", smoothness if several else [smoothness]),
    ):
        for value in values:
            number = isinstance(value, Real) and not isinstance(value, bool)
            word = isinstance(value, str) and value == "auto" and not several
            if not (word or (number and 0 <= value <= STRONGEST)):
                raise ValueError(
                    f"`{name}` must be 'auto' or a finite number >= 0, at most "
                    f"{STRONGEST:g}; got {value!r}."
                )


def check_binning(binning, simplex):
    """Raise ValueError for a binning that makes no sense."""
    if isinstance(binning, str) and binning == "auto":
        return
    if not isinstance(binning, (int, np.integer)) or binning < 1:
        raise ValueError(
            f"`binning` is {binning!r}; needed is 'auto' or a number of pixels >= 1."
        )
    if binning > 1 and simplex == "abundances":
        raise ValueError(
            f"`binning` is {binning}, but the abundances of each pixel add up to 1 "
            "with simplex='abundances', and those of several pixels do not. Use "
            "`binning=1`, or `s.rebin`."
        )


def check_lines(model, channels):
    """Raise ValueError for elements whose lines are all in masked channels."""
    kept = model.G[channels].sum(axis=0) / model.G.sum(axis=0)
    lost = [
        column.element
        for column, share in zip(model.columns, kept, strict=True)
        if column.kind == "element" and share < MIN_SHARE
    ]
    if lost:
        raise ValueError(
            f"The lines of {', '.join(lost)} are in channels that `signal_mask` leaves "
            "out, so nothing can be said about them. Unmask their channels, or remove "
            "them with `s.set_elements([...])`."
        )
