"""Results edited by hand: phases renamed, reordered, merged, dropped and split off.

An edit makes a new result of an old one and says so in its `PhaseAnalysis.edits`. What
follows from the old numbers is computed from them: a merged phase is the mean of its
parts. What has to be found anew, the maps after a phase is dropped or added, is a fit
with known spectra; and any edit may be followed by a fit that starts where it stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from espm_hs.decomposition.constraints import Knowledge
from espm_hs.decomposition.decompose import chosen_options, decompose
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.decomposition.starts import previous_start
from espm_hs.physics.linear_model import Unknowns

# Share that the others keep in the pixels of a new phase: zeros would stay zeros.
LEAST = 1e-3
# Options that a fit after an edit shares with the one before.
SHARED = ("simplex", "solver", "max_iter", "tol", "random_state", "end_members")
# What a fit with known spectra tells of a result.
OF_THE_MAPS = ("loadings", "counts", "smoothness", "objective", "misfit", "history")


def renamed(found: PhaseAnalysis, names: Sequence[str], said: str) -> PhaseAnalysis:
    """Return a result whose phases have other names, "" for none, and why."""
    knowledge = replace(found.knowledge, names=tuple(names))
    return replace(found, knowledge=knowledge, edits=(*found.edits, said))


def combined(
    found: PhaseAnalysis, groups: Sequence[Sequence[int]], said: str
) -> PhaseAnalysis:
    """Return a result whose phases are groups of the earlier ones.

    Parameters
    ----------
    found
        The earlier result, with its loadings.
    groups
        Numbers of the earlier phases in each new one. Those in none are dropped.
    said
        What was done, in a few words.

    Returns
    -------
    PhaseAnalysis
        A phase of several has the mean of their spectra and compositions, weighted by
        their counts and atoms. How their errors depend on each other is not known, and
        whatever it is, the covariance of the mean is not above the mean of the
        covariances, which is taken.
    """
    whole = np.zeros((found.n_phases, len(groups)))
    for m, group in enumerate(groups):
        whole[list(group), m] = 1.0
    totals = np.maximum(_totals(found), np.finfo(float).tiny)
    by_counts = _shares(totals, whole)
    atoms = totals * found.atoms
    by_atoms = _shares(np.where(whole @ (atoms @ whole) > 0, atoms, totals), whole)
    factors, ranges = found.amount_factors, found.alternatives
    W = found.W @ by_atoms
    composition = found.composition @ by_atoms
    optional: dict[str, Any] = {}
    if found.feasible_ranges is not None:
        optional["feasible_ranges"] = _largest(found.feasible_ranges, groups)
    if found.surroundings is not None:
        around = _largest(found.surroundings[None], groups)
        optional["surroundings"] = None if around is None else around[0]
    if found.shown is not None:
        optional["shown"] = np.array([found.shown[list(one)].max() for one in groups])
    if ranges is not None:
        optional["alternatives"] = ranges @ by_atoms
    if found.counts is not None:
        optional["counts"] = found.counts @ whole
    if found.atoms_in_places is not None:
        optional["atoms_in_places"] = found.atoms_in_places @ by_counts
    unknowns = found.unknowns
    if unknowns is not None and unknowns.factors.shape == factors.shape:
        moved = (unknowns.responses * found.composition) @ by_atoms
        there = np.where(composition > 0, composition, 1.0)
        amounts = W[found.element_columns]
        mean = np.where(
            amounts > 0, composition / np.where(amounts > 0, amounts, 1), 1.0
        )
        # a phase that stays as it is keeps its bits
        alone = whole.sum(axis=0) == 1
        first = [group[0] for group in groups]
        optional["unknowns"] = Unknowns(
            unknowns.names,
            np.where(alone, unknowns.factors[:, first], mean),
            np.where(composition > 0, moved / there, 0.0),
        )
    loadings = found.loadings
    return replace(
        found,
        knowledge=_knowledge(found.knowledge, groups),
        W=W,
        covariance=np.einsum("jm,jab->mab", by_atoms, found.covariance),
        bias=found.bias @ by_atoms,
        spectra=found.spectra @ by_counts,
        loadings=None if loadings is None else loadings @ whole,
        atoms=found.atoms @ by_counts,
        smoothness=found.smoothness @ by_counts,
        edits=(*found.edits, said),
        **optional,
    )


def _totals(found: PhaseAnalysis) -> np.ndarray:
    """Sum of the loadings of each phase, shape (n_phases,)."""
    if found.loadings is not None:
        return np.nansum(found.loadings, axis=0)
    return np.ones(found.n_phases) if found.counts is None else found.counts


def _shares(amounts: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return the share of each phase in the groups that it belongs to."""
    weights = amounts[:, None] * whole
    return weights / weights.sum(axis=0)


def _largest(ranges: np.ndarray, groups: Sequence[Sequence[int]]) -> np.ndarray | None:
    """Return how far groups may be mixed: as far as any two of their members."""
    n = len(groups)
    if n == 1:
        return None
    wide = np.zeros((len(ranges), n, n))
    for i, one in enumerate(groups):
        for j, other in enumerate(groups):
            if i != j:
                wide[:, i, j] = ranges[:, list(one)][:, :, list(other)].max(axis=(1, 2))
    return wide


def _knowledge(known: Knowledge, groups: Sequence[Sequence[int]]) -> Knowledge:
    """Return what is known of groups: of several phases, where they may be."""
    n_columns = len(known.fixed)
    new = Knowledge.nothing(len(groups), n_columns)
    names = [""] * len(groups)
    for m, group in enumerate(groups):
        if len(group) == 1:
            new.fixed[:, m] = known.fixed[:, group[0]]
            new.ties[m] = known.ties[group[0]]
        # the largest name goes on: that of the first that has one
        names[m] = next((known.names[j] for j in group if known.names[j]), "")
    support = known.support
    if support is not None:
        support = np.stack([support[:, list(g)].any(axis=1) for g in groups], axis=1)
        support = None if support.all() else support
    return Knowledge(tuple(names), new.fixed, new.ties, support, known.single_elements)


def with_phase(
    found: PhaseAnalysis, one: PhaseAnalysis, pixels: np.ndarray, name: str, said: str
) -> PhaseAnalysis:
    """Return a result with one more phase, the last.

    Parameters
    ----------
    found
        The earlier result, with its loadings.
    one
        The new phase, which is all that another result has.
    pixels
        Boolean, shape (n_pixels,): what holds it, and next to nothing else, until maps
        are found anew.
    name
        Of the new phase.
    said
        What was done.
    """
    k = found.n_phases
    known, new = found.knowledge, Knowledge.nothing(1, len(found.W))
    support = known.support
    if support is not None:
        support = np.column_stack([support, np.ones(len(support), bool)])
    knowledge = Knowledge(
        (*known.names, name),
        np.column_stack([known.fixed, new.fixed]),
        np.concatenate([known.ties, new.ties]),
        support,
    )
    loadings = found.loadings
    if loadings is not None:
        inside = pixels[:, None]
        totals = (loadings * np.nansum(found.spectra, axis=0)).sum(axis=1)
        own = totals / np.nansum(one.spectra)
        own = np.where(pixels | np.isnan(own), own, 0.0)
        kept = np.where(inside, LEAST * loadings, loadings)
        loadings = np.column_stack([kept, own])
    unknowns = found.unknowns
    if unknowns is not None and one.unknowns is not None:
        pair = zip(unknowns[1:], one.unknowns[1:], strict=True)
        unknowns = Unknowns(
            unknowns.names, *(np.concatenate(both, axis=-1) for both in pair)
        )
    places, counts = found.atoms_in_places, None
    if found.counts is not None and one.counts is not None:
        counts = np.append(found.counts, one.counts)
    return replace(
        found,
        knowledge=knowledge,
        W=np.column_stack([found.W, one.W]),
        covariance=np.concatenate([found.covariance, one.covariance]),
        bias=np.column_stack([found.bias, one.bias]),
        spectra=np.column_stack([found.spectra, one.spectra]),
        loadings=loadings,
        atoms=np.concatenate([found.atoms, one.atoms]),
        smoothness=np.append(found.smoothness, found.smoothness.mean()),
        counts=counts,
        feasible_ranges=np.zeros((2, k + 1, k + 1)),
        alternatives=None,
        surroundings=None,
        shown=None,
        unknowns=unknowns,
        atoms_in_places=None
        if places is None
        else np.column_stack([places, np.ones(len(places))]),
        edits=(*found.edits, said),
    )


def refitted(
    found: PhaseAnalysis,
    data: Any,
    options: Mapping[str, Any],
    *,
    maps_only: bool = False,
    n_jobs: int = -1,
) -> PhaseAnalysis:
    """Go on with a fit from where an edit left the phases.

    Parameters
    ----------
    found
        The edited result, with its loadings.
    data
        Counts, shape (*navigation, n_channels).
    options
        Those of the decomposition.
    maps_only
        Keep spectra and compositions with their errors, and find the maps alone.
    n_jobs
        Number of threads.
    """
    assert found.loadings is not None
    pixels = ~np.isnan(found.loadings).any(axis=1)
    W, H = previous_start(found, found.model, found.loadings[pixels])
    known = found.knowledge
    if maps_only:
        nothing = np.full(known.fixed.shape, np.nan)
        known = replace(known, fixed=nothing, ties=_kept(W))
    settings = chosen_options(found, options, SHARED)
    smoothness = options.get("smoothness", "auto")
    if smoothness == "auto":  # chosen anew, as phases are others
        settings["smoothness"] = smoothness
    again = decompose(
        data,
        found.model,
        found.n_phases,
        pixels=pixels,
        channels=found.channels,
        known_phases=known,
        init=(W, H),
        n_init=1,
        separation=False,
        local=found.places is not None,
        n_jobs=n_jobs,
        **settings,
    )
    if maps_only:
        return replace(found, **{name: getattr(again, name) for name in OF_THE_MAPS})
    edits = (*found.edits, "fitted again")
    return replace(again, edits=edits, calibration=found.calibration)


def _kept(W: np.ndarray) -> np.ndarray:
    """Return ties that keep each column of W but for its scale."""
    ties = np.zeros((W.shape[1], len(W), len(W)))
    for tie, w in zip(ties, W.T, strict=True):
        lead = int(np.argmax(w))
        tie[:, lead] = w / w[lead]
    return ties
