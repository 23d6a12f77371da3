"""The result of a decomposition, and how it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from espm_hs.decomposition.ambiguity import Doubt, doubts
from espm_hs.decomposition.constraints import Knowledge
from espm_hs.factorization import Counts
from espm_hs.physics import SpectrumModel

# Version of the layout in which results are stored.
STORAGE_VERSION = 2


def fingerprint(counts: Counts) -> np.ndarray:
    """Three numbers that change when pixels are moved, cropped or edited.

    Number of pixels, all counts, and the sum over pixels of position times counts.
    """
    return counts.moments


def phase_matrices(model: SpectrumModel, composition: np.ndarray) -> np.ndarray:
    """Model matrix of each phase as absorbed by the phase itself.

    Parameters
    ----------
    model
        Physics; without a mass thickness the matrices are all the same.
    composition
        Atomic fractions, shape (n_elements, n_phases).

    Returns
    -------
    numpy.ndarray
        Shape (n_phases, n_channels, n_columns).
    """
    n_phases = composition.shape[1]
    if not model.mass_thickness:
        return np.broadcast_to(model.G, (n_phases, *model.G.shape))
    matrices = []
    for fractions in composition.T:
        known = dict(zip(model.elements, fractions.tolist(), strict=True))
        # a phase without elements absorbs as the sample does on average
        own = model.replace(composition=known) if fractions.sum() > 0 else model
        matrices.append(own.G)
    return np.stack(matrices)


@dataclass(frozen=True, eq=False)
class PhaseAnalysis:
    """Phases found in a map, with all that is needed to quantify them again.

    Parameters
    ----------
    model
        The physics the fit used; its ``composition``, if any, is that of the whole.
    knowledge
        What was known of the phases before.
    W
        Shape (n_columns, n_phases): atomic fractions in the element rows.
    covariance
        Shape (n_phases, n_columns, n_columns): covariance of W in each phase, from the
        noise of the counts.
    pull
        Shape (n_columns, n_phases): W less what it would be with half the counts in
        each pixel, the scale of its bias.
    spectra
        Shape (n_channels, n_phases): spectrum of each phase over the whole energy
        axis, NaN in the channels left out. With ``simplex="abundances"`` the counts of
        a pixel of the pure phase, else normalised to sum 1.
    loadings
        Shape (n_pixels, n_phases): ``loadings @ spectra.T`` is the model of the
        counts; NaN in the pixels left out. None when read from storage.
    atoms
        Shape (n_phases,): number of atoms, in the unit of 1 / G, of which a loading
        of 1 consists.
    channels
        Boolean, shape (n_channels,): channels in use.
    fingerprint
        Shape (3,): what tells these data from others, see `fingerprint`.
    objective
        F at the end of the fit, in nats.
    misfit
        Deviance of the summed spectrum over what Poisson noise makes one expect: about
        1 for a model that has all elements and the right energy scale.
    history
        F during the fit. Where each phase absorbs by its own composition, the fit is
        repeated, and F starts again with every new G.
    n_iter
        Iterations of the fit.
    converged, interrupted
        How the fit ended.
    smoothness
        Strengths with which the maps were made, shape (n_phases,), given or chosen.
    n_starts, n_agreeing
        Starts of the fit, and how many of them ended in this optimum.
    binning
        Pixels along each axis that were taken together to find the phases. The errors
        are those of that fit.
    sparsity
        Strength with which the phases were found, given or chosen.
    mixing
        Shape (2, n_phases, n_phases): how far the counts let phases be mixed, see
        `espm_hs.factorization.mixing_ranges`. None for a single phase and where the
        fit was interrupted.
    """

    model: SpectrumModel
    knowledge: Knowledge
    W: np.ndarray
    covariance: np.ndarray
    pull: np.ndarray
    spectra: np.ndarray
    loadings: np.ndarray | None
    atoms: np.ndarray
    channels: np.ndarray
    fingerprint: np.ndarray
    objective: float
    misfit: float
    history: np.ndarray
    n_iter: int
    converged: bool
    interrupted: bool
    smoothness: np.ndarray
    n_starts: int = 1
    n_agreeing: int = 1
    binning: int = 1
    sparsity: float = 0.0
    mixing: np.ndarray | None = None

    @property
    def n_phases(self) -> int:
        """Number of phases."""
        return self.W.shape[1]

    @cached_property
    def G(self) -> np.ndarray:
        """Model matrix of each phase, (n_phases, n_channels, n_columns).

        They differ in the absorption in the sample, that of each phase being due to its
        own composition; single elements absorb as the whole does.
        """
        if self.knowledge.single_elements:
            return np.broadcast_to(self.model.G, (self.n_phases, *self.model.G.shape))
        return phase_matrices(self.model, self.composition)

    @property
    def labels(self) -> list[str]:
        """What to call each phase: the name that was given, or "phase 0"."""
        return self.knowledge.labels

    @property
    def elements(self) -> tuple[str, ...]:
        """Elements of the composition."""
        return self.model.elements

    @property
    def composition(self) -> np.ndarray:
        """Element rows of W, shape (n_elements, n_phases)."""
        return self.W[self.model.element_columns]

    @property
    def composition_covariance(self) -> np.ndarray:
        """Covariance of `composition`, (n_phases, n_elements, n_elements).

        That of the counts, and the pull as an error of its own.
        """
        rows = self.model.element_columns
        pull = self.pull[rows].T
        counted = self.covariance[:, rows][:, :, rows]
        return counted + pull[:, :, None] * pull[:, None, :]

    @property
    def smoothness_text(self) -> str:
        """Smoothness of the maps: one number if it is that of all phases."""
        numbers = [f"{x:.3g}" for x in self.smoothness]
        return numbers[0] if len(set(numbers)) == 1 else ", ".join(numbers)

    @cached_property
    def doubts(self) -> list[Doubt]:
        """What the counts leave open about each phase; empty where `mixing` is None."""
        if self.mixing is None:
            return []
        return doubts(
            self.elements, self.composition, self.spectra, self.mixing, self.labels
        )

    def __str__(self) -> str:
        """Text in the manner of HyperSpy's decomposition info."""
        ending = (
            "converged" if self.converged else "not converged: raise max_iter or tol"
        )
        if self.interrupted:
            ending = "interrupted"
        columns = [column.label for column in self.model.columns]
        names = [f"{j} {x}" for j, x in enumerate(self.knowledge.names) if x]
        return "\n".join(
            [
                "Decomposition info:",
                "  algorithm=espm",
                f"  output_dimension={self.n_phases}",
                *([f"  known phases: {', '.join(names)}"] if names else []),
                f"  columns of the model: {', '.join(columns)}",
                f"  objective={self.objective:.8g} after {self.n_iter} iterations "
                f"({ending})",
                f"  {self.n_agreeing} of {self.n_starts} start(s) ended there",
                f"  phases from bins of {self.binning} pixels along each axis, "
                f"sparsity {self.sparsity:.3g}, "
                f"smoothness of the maps {self.smoothness_text}",
                "  deviance of the summed spectrum over its expectation="
                f"{self.misfit:.3g}",
                *(f"  {doubt}" for doubt in self.doubts),
            ]
        )

    def to_dict(self) -> dict:
        """Return arrays, numbers and text that HyperSpy can write to a file.

        The loadings are left out: they belong to `learning_results`.
        """
        stored = {} if self.mixing is None else {"mixing": self.mixing}
        return stored | {
            "version": STORAGE_VERSION,
            "model": self.model.to_dict(),
            "columns": [column.label for column in self.model.columns],
            "knowledge": self.knowledge.to_dict(),
            "W": self.W,
            "covariance": self.covariance,
            "pull": self.pull,
            "spectra": self.spectra,
            "atoms": self.atoms,
            "channels": self.channels,
            "fingerprint": self.fingerprint,
            # numpy's scalars are not what every writer takes
            "objective": float(self.objective),
            "misfit": float(self.misfit),
            "history": self.history,
            "n_iter": int(self.n_iter),
            "converged": bool(self.converged),
            "interrupted": bool(self.interrupted),
            "n_starts": int(self.n_starts),
            "n_agreeing": int(self.n_agreeing),
            "binning": int(self.binning),
            "sparsity": float(self.sparsity),
            "smoothness": self.smoothness,
        }

    @classmethod
    def from_dict(cls, stored: Mapping) -> PhaseAnalysis:
        """Read what `to_dict` wrote.

        Raises
        ------
        ValueError
            If another version of the package wrote it, or a part is missing.
        """
        version = stored.get("version")
        if version != STORAGE_VERSION:
            raise ValueError(
                f"The stored result has layout {version!r}; this version of espm_hs "
                f"reads layout {STORAGE_VERSION}. Update espm_hs, or run "
                "`s.decomposition(algorithm='espm', ...)` again."
            )
        try:
            found = cls._read(stored)
            found._check_shapes()
        # whatever is missing or something else than `to_dict` wrote
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise ValueError(
                f"The stored phases are damaged ({error}). Find them again with "
                "`s.decomposition(algorithm='espm', output_dimension=...)`."
            ) from error
        return found

    @classmethod
    def _read(cls, stored: Mapping) -> PhaseAnalysis:
        """Read the present layout, as it comes."""
        W = np.asarray(stored["W"], float)
        known = stored.get("knowledge")
        if known is None:
            knowledge = Knowledge.nothing(W.shape[1], W.shape[0])
        else:
            knowledge = Knowledge.from_dict(known)
        arrays = ["W", "covariance", "pull", "spectra", "atoms", "fingerprint"]
        arrays += ["mixing"] if "mixing" in stored else []
        return cls(
            model=SpectrumModel.from_dict(stored["model"]),
            knowledge=knowledge,
            loadings=None,
            history=np.asarray(stored["history"], float),
            channels=np.asarray(stored["channels"], bool),
            objective=float(stored["objective"]),
            misfit=float(stored["misfit"]),
            n_iter=int(stored["n_iter"]),
            converged=bool(stored["converged"]),
            interrupted=bool(stored["interrupted"]),
            n_starts=int(stored.get("n_starts", 1)),
            n_agreeing=int(stored.get("n_agreeing", 1)),
            binning=int(stored.get("binning", 1)),
            sparsity=float(stored.get("sparsity", 0.0)),
            # one number in files of older versions
            smoothness=np.full(W.shape[1], stored.get("smoothness", 0.0), float),
            **{name: np.asarray(stored[name], float) for name in arrays},
        )

    def _check_shapes(self) -> None:
        """Raise ValueError for arrays that do not belong to each other."""
        k, n_columns = self.n_phases, len(self.model.columns)
        n_channels = self.model.channels.size
        needed = {
            "W": (n_columns, k),
            "covariance": (k, n_columns, n_columns),
            "pull": (n_columns, k),
            "spectra": (n_channels, k),
            "atoms": (k,),
            "channels": (n_channels,),
            "fingerprint": (3,),
        }
        for name, shape in needed.items():
            if (found := getattr(self, name).shape) != shape:
                raise ValueError(f"{name} has shape {found} where {shape} belongs")


def stored_loadings(learning_results, n_pixels: int, n_phases: int) -> np.ndarray:
    """Return the loadings that a decomposition into phases left in a signal.

    Parameters
    ----------
    learning_results
        The signal's.
    n_pixels
        Number of pixels of the signal.
    n_phases
        Number of phases that were found.

    Returns
    -------
    numpy.ndarray
        Shape (n_pixels, n_phases), NaN in the pixels left out.

    Raises
    ------
    RuntimeError
        If there are none, or not those of this signal.
    """
    loadings = learning_results.loadings
    if (
        learning_results.decomposition_algorithm != "espm"
        or loadings is None
        or loadings.shape != (n_pixels, n_phases)
    ):
        raise RuntimeError(
            "The maps of the phases are not in `learning_results`: slicing empties it "
            "and other decompositions replace it. The phases are still known: map them "
            "with `s.decomposition(algorithm='espm', init='previous')`."
        )
    return np.asarray(loadings, dtype=float)
