"""The result of a decomposition, and how it is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Any

import numpy as np

from espm_hs.decomposition.ambiguity import (
    Ambiguity,
    ambiguities,
    apart,
    ranges,
    spread,
    told_apart,
)
from espm_hs.decomposition.cautions import (
    EMPTY,
    KINDS,
    LEAST_AGREEING,
    Caution,
    empty_phases,
    in_short,
    look_alikes,
    one_sentence,
    phase_cautions,
    without_elements,
)
from espm_hs.decomposition.constraints import Knowledge
from espm_hs.decomposition.self_consistency import phase_matrices
from espm_hs.factorization.counts.counts import AnyCounts
from espm_hs.physics.linear_model import LinearModel, Unknowns, read_model

# Version of the layout in which results are stored.
STORAGE_VERSION = 2
# Arrays that every result has, and the keys of those that are stored by another name.
_ARRAYS = ("W", "covariance", "bias", "spectra", "atoms", "fingerprint", "history")
_KEYS = {"bias": "pull", "feasible_ranges": "mixing"}
# Arrays that are None in some results, as in all of older files.
_OPTIONAL = (
    *("feasible_ranges", "alternatives", "counts", "surroundings", "shown"),
    *("places", "atoms_in_places"),
)
# Numbers by type; older files lack those that have a default.
_NUMBERS = {
    "objective": float,
    "misfit": float,
    "n_iter": int,
    "converged": bool,
    "interrupted": bool,
    "n_starts": int,
    "n_agreeing": int,
    "binning": int,
    "bin_counts": float,
    "sparsity": float,
    "scale": float,
}
# Lines of the text after a fit: phases, what is to be known of them; and in a line,
# elements of a phase and what to do.
MOST_PHASES, MOST_NOTES, MOST_ELEMENTS, MOST_ADVICE = 5, 5, 5, 2
#: Deviance ratio above which a model does not fit.
BAD_FIT = 2.0
# What comes of stored values that are missing or something else than was written.
_DAMAGE = (KeyError, TypeError, ValueError, AttributeError, IndexError)


def fingerprint(counts: AnyCounts) -> np.ndarray:
    """Return three numbers that change when pixels are moved, cropped or edited.

    They are the number of pixels, all counts, and the sum over pixels of position times
    counts.
    """
    return counts.moments


def _read_unknowns(stored: Mapping[str, Any] | None) -> Unknowns | None:
    """Read what `PhaseAnalysis.to_dict` wrote; None in files that have none."""
    if stored is None:
        return None
    names = tuple(str(name) for name in stored["names"])
    arrays = (np.asarray(stored[name], float) for name in ("factors", "responses"))
    return Unknowns(names, *arrays)


def _damaged(error: Exception) -> ValueError:
    return ValueError(
        f"The stored phases are damaged ({error}). Find them again with "
        "`s.decomposition(algorithm='espm', output_dimension=...)`."
    )


@dataclass(frozen=True, eq=False)
class ModelRecord:
    """What a result knows of its model without building it.

    Parameters
    ----------
    elements
        Names of the quantified columns, in order.
    columns
        Label of each column.
    element_columns
        Boolean, shape (n_columns,): columns that are quantified.
    kind
        Name under which the class of the model is registered; None in older files.
    description
        What the model's own ``to_dict`` wrote.
    """

    elements: tuple[str, ...]
    columns: tuple[str, ...]
    element_columns: np.ndarray
    kind: str | None
    description: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, model: LinearModel) -> ModelRecord:
        """Return the record of a model that is there."""
        labels = tuple(column.label for column in model.columns)
        rows = np.asarray(model.element_columns, bool)
        found = cls(tuple(model.elements), labels, rows, model.kind, model.to_dict())
        found.__dict__["model"] = model
        return found

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> ModelRecord:
        """Read what `to_dict` wrote, and what older versions did."""
        kind, description = stored.get("kind"), stored["model"]
        if not {"elements", "columns", "element_columns"} <= set(stored):
            return cls.of(read_model(kind, description))
        return cls(
            tuple(str(name) for name in stored["elements"]),
            tuple(str(label) for label in stored["columns"]),
            np.asarray(stored["element_columns"], bool),
            kind,
            dict(description),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return arrays and text that HyperSpy can write to a file."""
        return {
            "kind": self.kind or "",
            "model": dict(self.description),
            "elements": list(self.elements),
            "columns": list(self.columns),
            "element_columns": self.element_columns,
        }

    @cached_property
    def model(self) -> LinearModel:
        """The model itself, built when it is first asked for."""
        model = read_model(self.kind, self.description)
        if tuple(column.label for column in model.columns) != self.columns:
            raise ValueError("the model has other columns than those of the phases")
        return model


@dataclass(frozen=True, eq=False, repr=False)
class PhaseAnalysis:
    """Phases found in a map, with all that is needed to quantify them again.

    Parameters
    ----------
    model_record
        The model that the fit used, refined with the composition of the whole.
    knowledge
        What was known of the phases before.
    W
        Shape (n_columns, n_phases): atomic fractions in the element rows.
    covariance
        Shape (n_phases, n_columns, n_columns): covariance of W in each phase, from the
        noise of the counts.
    bias
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
        Deviance ratio: deviance of the summed spectrum over what Poisson noise makes
        one expect, about 1 for a model that has all elements and the right axis.
    history
        F during the fit. Where G depends on the composition of each phase, the fit is
        repeated, and F starts again with every new G, as it does after each of the
        steps that take something out of a phase.
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
    bin_counts
        Mean counts of such a bin; 0 where that is not known, as in older files.
    sparsity
        Strength with which the phases were found, given or chosen.
    feasible_ranges
        Shape (2, n_phases, n_phases): how far the counts let phases be mixed, see
        `espm_hs.factorization.mixing_ranges`. None for a single phase and where the
        fit was interrupted.
    calibration
        What was changed in the model to fit the summed counts, by name, the deviance
        ratios before and after, and how parts of the scan differ; empty if the model
        is that of the metadata.
    alternatives
        Shape (2, n_elements, n_phases): lowest and highest fractions over the starts
        that fit about as well, see `espm_hs.decomposition.ambiguity.alternatives`. None
        where there was one start.
    counts
        Shape (n_phases,): counts of each phase in the map. None in older files.
    surroundings
        Shape (n_phases, n_phases): how much of each phase (row) gives way to another
        one, see `espm_hs.decomposition.separation.surroundings`. None in older files.
    shown
        Shape (n_phases,): what part of the counts of its purest pixels each phase makes
        up, see `espm_hs.decomposition.solid_solution.shown_alone`; 1 if it was known.
        None in older files.
    steps
        What the search chose among answers that the counts allow, a sentence each.
    gains
        What the counts prefer to what bins say, a sentence each.
    places, atoms_in_places
        Place of each pixel of the map, shape (n_pixels,), and of how many `atoms` a
        loading consists there, as a multiple, shape (n_places, n_phases); see
        `espm_hs.decomposition.self_consistency.Places`. None: one place.
    unknowns
        What the model does not know of itself, and how that moves the amounts of the
        elements of each phase; its last axis is that of the phases. None: all is known.
    scale
        What all values of the data are multiples of: 1 for counts, 0 for no number.
    edits
        What was done to the phases by hand after they were found, in order.
    """

    model_record: ModelRecord
    knowledge: Knowledge
    W: np.ndarray
    covariance: np.ndarray
    bias: np.ndarray
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
    bin_counts: float = 0.0
    sparsity: float = 0.0
    feasible_ranges: np.ndarray | None = None
    calibration: Mapping[str, float] = field(default_factory=dict)
    alternatives: np.ndarray | None = None
    counts: np.ndarray | None = None
    surroundings: np.ndarray | None = None
    shown: np.ndarray | None = None
    steps: tuple[str, ...] = ()
    gains: tuple[str, ...] = ()
    unknowns: Unknowns | None = None
    scale: float = 1.0
    places: np.ndarray | None = None
    atoms_in_places: np.ndarray | None = None
    edits: tuple[str, ...] = ()

    @property
    def n_places(self) -> int:
        """Number of places, 0 where there is one alone."""
        return 0 if self.atoms_in_places is None else len(self.atoms_in_places)

    def atoms_of_pixels(self, pixels: slice) -> np.ndarray | None:
        """How many `atoms` a loading has, as a multiple, in pixels of several places.

        Shape (n_pixels, n_phases); None where there is one place.
        """
        if self.places is None or self.atoms_in_places is None:
            return None
        return self.atoms_in_places[self.places[pixels].astype(int)]

    @property
    def n_phases(self) -> int:
        """Number of phases."""
        return self.W.shape[1]

    @cached_property
    def model(self) -> LinearModel:
        """The model that the fit used; what was loaded builds it when first asked.

        Raises
        ------
        ValueError
            If its stored description is damaged.
        """
        try:
            model = self.model_record.model
            if model.channels.shape != self.channels.shape:
                raise ValueError("the model has other channels than the phases")
        except _DAMAGE as error:
            raise _damaged(error) from error
        return model

    @cached_property
    def G(self) -> np.ndarray:
        """Model matrix of each phase, (n_phases, n_channels, n_columns).

        They differ where the matrix depends on the composition, which is that of each
        phase; single elements have the matrix of the whole.
        """
        if self.knowledge.single_elements:
            return np.broadcast_to(self.model.G, (self.n_phases, *self.model.G.shape))
        return phase_matrices(self.model, self.W[self.element_columns])

    @property
    def labels(self) -> list[str]:
        """What to call each phase: the name that was given, or "phase 0"."""
        return self.knowledge.labels

    @property
    def elements(self) -> tuple[str, ...]:
        """Elements of the composition."""
        return self.model_record.elements

    @property
    def element_columns(self) -> np.ndarray:
        """Boolean, shape (n_columns,): rows of W that are atomic fractions."""
        return self.model_record.element_columns

    @property
    def composition(self) -> np.ndarray:
        """Atomic fractions of the elements, shape (n_elements, n_phases).

        They are the element rows of W, and the mean over what the model does not know.
        """
        return self.W[self.element_columns] * self.amount_factors

    @cached_property
    def amount_factors(self) -> np.ndarray:
        """What element rows of W are multiplied with to be `composition`; sums stay."""
        found = self.W[self.element_columns]
        if self.unknowns is None or self.unknowns.factors.shape != found.shape:
            return np.ones(found.shape)  # of other phases than these
        whole = (found * self.unknowns.factors).sum(axis=0)
        return self.unknowns.factors * found.sum(axis=0) / np.where(whole > 0, whole, 1)

    @property
    def composition_bias(self) -> np.ndarray:
        """Bias of `composition`, shape (n_elements, n_phases)."""
        return self.bias[self.element_columns] * self.amount_factors

    @property
    def counting_covariance(self) -> np.ndarray:
        """Covariance of `composition` from the counts, (n_phases, n_elements, same).

        Where the model does not fit, by more than noise may do to its deviance, errors
        are larger by the root of the deviance ratio, as if the counts had that noise.
        """
        rows = self.element_columns
        scatter = np.sqrt(2 / max(self.channels.sum(), 1))
        excess = self.misfit if self.misfit > 1 + 2 * scatter else 1.0
        counted, factors = self.covariance[:, rows][:, :, rows], self.amount_factors.T
        return excess * counted * factors[:, :, None] * factors[:, None, :]

    @property
    def composition_covariance(self) -> np.ndarray:
        """Covariance of `composition`, (n_phases, n_elements, n_elements).

        It is that of the counts, with the bias as an error of its own.
        """
        bias = self.composition_bias.T
        return self.counting_covariance + bias[:, :, None] * bias[:, None, :]

    @property
    def smoothness_text(self) -> str:
        """Smoothness of the maps: one number if it is that of all phases."""
        numbers = [f"{x:.3g}" for x in self.smoothness]
        return numbers[0] if len(set(numbers)) == 1 else ", ".join(numbers)

    @cached_property
    def ambiguities(self) -> list[Ambiguity]:
        """What the counts leave open about each phase.

        Empty where `feasible_ranges` is None.
        """
        if self.feasible_ranges is None:
            return []
        return ambiguities(
            self.elements,
            self.composition,
            self.spectra,
            self.feasible_ranges,
            self.labels,
            self.surroundings,
        )

    @cached_property
    def ranges(self) -> np.ndarray:
        """Lowest and highest fraction of each element, (2, n_elements, n_phases).

        Between them are all mixtures that the counts allow and the answers of all
        starts that fit about as well. Errors come on top.
        """
        found = self.W[self.element_columns]
        wide = (
            ranges(found, self.feasible_ranges, self.alternatives) * self.amount_factors
        )
        return np.minimum(wide, 1.0)

    @property
    def range_covariance(self) -> np.ndarray:
        """Covariance of `composition` that stands for `ranges`, in addition to errors.

        Shape (n_phases, n_elements, n_elements); see
        `espm_hs.decomposition.ambiguity.spread`.
        """
        found = self.W[self.element_columns]
        wide = spread(found, self.feasible_ranges, self.alternatives)
        factors = (self.amount_factors * found.sum(axis=0)).T
        return wide * factors[:, :, None] * factors[:, None, :]

    @cached_property
    def empty(self) -> np.ndarray:
        """Phases of no composition to speak of, boolean, shape (n_phases,).

        Those that are known to have no element are what they should be.
        """
        rows = self.element_columns
        known = (self.knowledge.fixed[rows] == 0).all(axis=0)
        # scaled counts are as certain as those that were scaled
        covariance = self.covariance[:, rows][:, :, rows] * self.scale
        counts = self.counts
        if counts is not None:
            counts = counts / self.scale if self.scale > 0 else None
        found = empty_phases(self.W[rows], covariance, self.atoms, counts)
        return found & ~known

    @cached_property
    def cautions(self) -> tuple[Caution, ...]:
        """What speaks against taking the composition of phases as it is."""
        found = phase_cautions(
            self.labels,
            {j: self._instead(j) for j in np.flatnonzero(self.empty).tolist()},
            apart(self.composition, self.spectra),
            told_apart(self.spectra, self.bin_counts),
            self.alternatives,
            {one.phase: str(one) for one in self.ambiguities if one.is_wide},
            self.composition_bias,
            self.shown,
        )
        return (*found, *self._cautions_of_all())

    def _instead(self, j: int) -> str:
        """Say what an empty phase has in the place of elements."""
        others = ~self.element_columns
        shares = self.W[:, j] * self.G[j][self.channels].sum(axis=0)
        columns = zip(self.model_record.columns, others, strict=True)
        names = [name for name, other in columns if other]
        counts = None if self.counts is None else float(self.counts[j])
        return without_elements(self.elements, counts, names, shares[others])

    @property
    def warning(self) -> str | None:
        """What a Python warning says of the phases in one sentence; None: nothing."""
        return one_sentence(self.cautions, self.labels, self.steps)

    def _cautions_of_all(self) -> Iterator[Caution]:
        """Say what concerns no phase alone: starts that disagree, and look-alikes.

        Where the answers of the starts are known, the phases that differ have it said.
        Backgrounds are free to resemble each other.
        """
        counts = float(self.fingerprint[1]) / (self.scale or 1.0)
        if counts <= EMPTY * self.n_phases and self.n_phases > 1:
            yield Caution.of("few", None, counts, self.n_phases)
        agree = self.n_agreeing >= LEAST_AGREEING * self.n_starts
        if self.alternatives is None and not agree:
            said = f"{self.n_agreeing} of {self.n_starts} starts ended in this optimum"
            yield Caution("starts", None, said)
        channels, columns = self.channels, self.model.columns
        mean = self.spectra[channels].mean(axis=1)
        weight = 1 / np.sqrt(np.where(mean > 0, mean, np.inf))
        lines = [i for i, column in enumerate(columns) if column.kind != "background"]
        weighted = self.model.G[channels] * weight[:, None]
        for group in look_alikes(weighted[:, lines], [columns[i].label for i in lines]):
            yield Caution.of("overlap", None, group)

    @property
    def misfit_text(self) -> str:
        """Say that the model does not fit, and what to do; "" where it does."""
        # scaled counts have another deviance, and that is said instead
        if self.misfit <= BAD_FIT or self.scale != 1:
            return ""
        # what was refined already does not get better by it
        refined = "deviance_after" in (self.calibration or {})
        more = "" if refined else ", run s.refine_calibration()"
        return (
            "The model does not fit, and more may be wrong than errors say. Look at "
            f"s.plot_residuals(), ask s.identify_elements(){more}."
        )

    # the names of before
    doubts = property(attrgetter("ambiguities"))
    mixing = property(attrgetter("feasible_ranges"))
    pull = property(attrgetter("bias"))

    def __str__(self) -> str:
        """Say what was found, what is doubtful and what to do, and last how."""
        ending = "converged"
        if not self.converged:
            ending = "not converged: raise max_iter or tol"
        if self.interrupted:
            ending = "interrupted"
        plural = "s" if self.n_phases > 1 else ""
        head = (
            f"Found {self.n_phases} phase{plural}: deviance ratio {self.misfit:.3g}, "
            f"{self.n_agreeing} of {self.n_starts} start(s) agree, {ending} after "
            f"{self.n_iter} iterations"
        )
        misfit = [self.misfit_text] if self.misfit_text else []
        lines = [head, *misfit, *self._phase_lines(), *self._notes()]
        # of each kind one, the gravest first
        advice = dict.fromkeys(
            one.advice for kind in KINDS for one in self.cautions if one.kind == kind
        )
        if advice:
            lines.append(f"to do: {' '.join([*advice][:MOST_ADVICE])}")
        return "\n  ".join([*lines, self._settings()])

    def __repr__(self) -> str:
        """Return the same: all arrays would be pages."""
        return str(self)

    def _phase_lines(self) -> list[str]:
        """Say of each phase how much of it there is, and what it is made of."""
        parts = self.counts
        shares = None if parts is None else 100 * parts / max(parts.sum(), 1e-300)
        lines = []
        for j, label in enumerate(self.labels):
            order = np.argsort(-self.composition[:, j])[:MOST_ELEMENTS]
            percent = [(self.elements[i], 100 * self.composition[i, j]) for i in order]
            of = ", ".join(f"{name} {x:.0f}" for name, x in percent if x >= 1)
            nothing = self.empty[j] or not of  # found, or said beforehand
            of = "none of the elements" if nothing else f"{of} at.%"
            share = "" if shares is None else f"{shares[j]:.0f} % of the counts, "
            lines.append(f"{label}: {share}{of}")
        if len(lines) <= MOST_PHASES:
            return lines
        shown = lines[: MOST_PHASES - 1]
        return [*shown, f"and {len(lines) - len(shown)} more"]

    def _settings(self) -> str:
        """Say with what the phases were found."""
        names = [f"{j} {x}" for j, x in enumerate(self.knowledge.names) if x]
        known = f"; known phases: {', '.join(names)}" if names else ""
        if self.edits:
            known += f"; edited: {'; '.join(self.edits)}"
        return (
            f"columns of the model: {', '.join(self.model_record.columns)}; objective "
            f"{self.objective:.8g}; bins of {self.binning} pixels along each axis, "
            f"sparsity {self.sparsity:.3g}, smoothness of the maps "
            f"{self.smoothness_text}{known}"
        )

    def _notes(self) -> list[str]:
        """Return what to know before trusting the phases, in a few lines."""
        notes = [self.places_text] if self.places_text else []
        notes += [" ".join(self.gains)] if self.gains else []
        notes += [f"choices: {' '.join(self.steps)}"] if self.steps else []
        if self.ambiguities and all(one.kind == "overlap" for one in self.cautions):
            notes.append(self._openness())
        # how many starts agree is said above
        found = [x for x in self.cautions if (x.kind, x.phase) != ("starts", None)]
        order = [*KINDS]
        found.sort(key=lambda one: order.index(one.kind))
        room = MOST_NOTES - len(notes)
        last = len(found) if len(found) <= room else room - 1
        notes += [one.sentence for one in found[:last]]
        rest = in_short(found[last:], self.labels)
        return [*notes, f"also: {rest}"] if rest else notes

    @property
    def places_text(self) -> str:
        """Say so, in the words of the physics, if places have matrices of their own."""
        return "" if self.places is None else self.model.advice.get("places", "")

    def _openness(self) -> str:
        """Say what is open about phases of which nothing grave is to be said."""
        widest = max(one.width for one in self.ambiguities)
        room = f"mixtures that the counts allow move them by {widest:.1f} at.%"
        return (
            f"phases at least {min(one.angle for one in self.ambiguities):.0f}° apart; "
            f"{room if widest else 'the counts leave no room for mixtures'}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return arrays, numbers and text that HyperSpy can write to a file.

        The loadings are left out: they belong to `learning_results`.
        """
        arrays = [*_ARRAYS, "channels", "smoothness"]
        arrays += [name for name in _OPTIONAL if getattr(self, name) is not None]
        return {
            "version": STORAGE_VERSION,
            **self.model_record.to_dict(),
            "knowledge": self.knowledge.to_dict(),
            **({"calibration": dict(self.calibration)} if self.calibration else {}),
            **{_KEYS.get(name, name): getattr(self, name) for name in arrays},
            # numpy's scalars are not what every writer takes
            **{name: kind(getattr(self, name)) for name, kind in _NUMBERS.items()},
            # an empty list is not what every writer takes
            **{x: list(y) for x in ("steps", "gains") if (y := getattr(self, x))},
            **({"edits": list(self.edits)} if self.edits else {}),
            **self._stored_unknowns(),
        }

    def _stored_unknowns(self) -> dict[str, Any]:
        """Return the unknowns as a node of their own, if there are any."""
        shape = self.composition.shape
        if self.unknowns is None or self.unknowns.factors.shape != shape:
            return {}
        stored = self.unknowns._asdict() | {"names": list(self.unknowns.names)}
        return {"unknowns": stored}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> PhaseAnalysis:
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
        except _DAMAGE as error:
            raise _damaged(error) from error
        return found

    @classmethod
    def _read(cls, stored: Mapping[str, Any]) -> PhaseAnalysis:
        """Read the present layout, as it comes."""
        names = [*_ARRAYS, *(x for x in _OPTIONAL if _KEYS.get(x, x) in stored)]
        arrays: dict[str, Any] = {
            name: np.asarray(stored[_KEYS.get(name, name)], float) for name in names
        }
        n_columns, n_phases = arrays["W"].shape
        known = stored.get("knowledge")
        return cls(
            model_record=ModelRecord.from_dict(stored),
            knowledge=Knowledge.nothing(n_phases, n_columns)
            if known is None
            else Knowledge.from_dict(known),
            loadings=None,
            calibration={
                str(name): float(x) for name, x in stored.get("calibration", {}).items()
            },
            steps=tuple(str(step) for step in stored.get("steps", ())),
            gains=tuple(str(gain) for gain in stored.get("gains", ())),
            edits=tuple(str(edit) for edit in stored.get("edits", ())),
            unknowns=_read_unknowns(stored.get("unknowns")),
            channels=np.asarray(stored["channels"], bool),
            # one number in files of older versions
            smoothness=np.full(n_phases, stored.get("smoothness", 0.0), float),
            **arrays,
            **{
                name: kind(stored[name])
                for name, kind in _NUMBERS.items()
                if name in stored or not hasattr(cls, name)
            },
        )

    def _check_shapes(self) -> None:
        """Raise ValueError for arrays that do not belong to each other."""
        k, n_columns = self.n_phases, len(self.model_record.columns)
        needed = {
            "element_columns": (n_columns,),
            "W": (n_columns, k),
            "composition": (len(self.elements), k),
            "covariance": (k, n_columns, n_columns),
            "bias": (n_columns, k),
            "spectra": (self.channels.size, k),
            "atoms": (k,),
            "channels": (self.channels.size,),
            "fingerprint": (3,),
            "alternatives": (2, len(self.elements), k),
            "counts": (k,),
            "surroundings": (k, k),
            "shown": (k,),
            "atoms_in_places": (self.n_places, k),
        }
        if self.unknowns is not None:
            names, factors, responses = self.unknowns
            moved = (len(names), *needed["composition"])
            if (factors.shape, responses.shape) != (moved[1:], moved):
                raise ValueError("the unknowns belong to other phases")
        for name, shape in needed.items():
            # those that are optional may be None
            if (found := np.shape(getattr(self, name))) not in (shape, ()):
                raise ValueError(f"{name} has shape {found} where {shape} belongs")
