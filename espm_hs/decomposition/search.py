"""The search for phases: a fit, and what is taken out of phases until it is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from espm_hs.decomposition.ambiguity import Answer, alternatives, closed, matched
from espm_hs.decomposition.cautions import LEAST_AGREEING, listed
from espm_hs.decomposition.constraints import Knowledge
from espm_hs.decomposition.self_consistency import (
    Judge,
    Places,
    continued,
    in_places,
    phase_matrices,
    phases_in_places,
    self_consistent_model,
    self_consistent_phases,
)
from espm_hs.decomposition.separation import (
    CERTAIN,
    LEAST_OVERLAP,
    Overlap,
    coatings,
    even_film,
    find_films,
    find_inclusion,
    find_overlap,
    in_film,
    inclusions,
    is_trace,
    lacks_several,
    remnants,
    separate,
)
from espm_hs.decomposition.solid_solution import (
    Series,
    as_observed,
    find_series,
    hardly_shown,
    purest_mixtures,
    shown_alone,
)
from espm_hs.decomposition.surroundings import (
    accompanying,
    films_of,
    hosts_of,
    surroundings,
    thicker_under,
)
from espm_hs.factorization import (
    Factorization,
    FitOptions,
    Grid,
    LostComponent,
    Penalties,
    Problem,
    composition_covariance,
    divergence,
    divergence_of_fit,
    factorize,
    fit_maps,
    linear_maps,
    mixing_ranges,
    off_zero,
    uptake,
)
from espm_hs.factorization.channel_sums import Sums
from espm_hs.factorization.counts.counts import AnyCounts
from espm_hs.factorization.single_pixels import MOST_COUNTS, Pixels, SinglePixels
from espm_hs.physics.linear_model import LinearModel
from espm_hs.progress import stage

# The search goes on without penalties and back with them, in so many passes each: where
# the counts alone leave much open they take more, and lead nowhere.
MOST_PASSES = 150
# If something was taken out of phases the last fit looks at F, and extrapolates, after
# so many passes, and ends where F falls by so many times more.
OFTEN, ROUGHLY = 5, 10.0
# Shares of the time that is left, as a rule: of the fit from all starts, of what may
# take several rounds, and of one of these.
FIRST_FIT, ALL_ROUNDS, A_ROUND = 0.6, 0.5, 0.2
# What is taken out of phases lowers F by less than this, in nats: what is further
# behind is not asked for its errors.
MOST_GAINED = 100.0
# Where the purest pixels lead elsewhere, F falls by more than this, in nats. What shows
# less of a phase than this shows others for the most part.
ELSEWHERE, LEAST_SHOWN = 10.0, 1 / 3
# A phase that would hold less of another one with fewer counts, by this many standard
# errors, is somewhere alone: elements that agree belong to it.
LEAST_OF_OVERLAP = -1.0
# What is taken out of phases may cost the counts so many nats for each number in them.
NATS_PER_NUMBER = 2.0
# What the counts prefer is taken if they gain so many nats for each number in it.
NATS_GAINED = 2.0
# What single pixels say may fall by this, in nats, where F falls.
MOST_LOST = 10.0
# The likelihood begins to fall so much, in nats, at half a standard error.
BEGINS_TO_RISE = 0.125
# So many nats say that the model follows what is in a place: odds of 20 to 1.
NATS_OF_PLACES = 3.0
# What is said of what is taken out of a phase.
ALL_SHOW = "the {percent:.0f} % of it that all pixels show are taken out"
OF_MATRIX = "Phase {one.phase} lies in phase {one.other}: " + ALL_SHOW
OF_COATING = "Phase {one.other} encloses phase {one.phase}: " + ALL_SHOW


@dataclass(frozen=True)
class Errors:
    """How well the phases are known.

    Parameters
    ----------
    covariance
        Of W, shape (n_phases, n_columns, n_columns).
    bias
        Shape (n_columns, n_phases), see `espm_hs.factorization.composition_covariance`.
    feasible_ranges
        Shape (2, n_phases, n_phases), see `espm_hs.factorization.mixing_ranges`; None
        where they were not asked for.
    interrupted
        Whether the user did not want to wait for all of them.
    """

    covariance: np.ndarray
    bias: np.ndarray
    feasible_ranges: np.ndarray | None = None
    interrupted: bool = False


# What each step of the search takes and returns.
Fit = tuple[Factorization, Errors]


@dataclass(eq=False)
class PhaseSearch:
    """Finds phases; ``problem`` and ``model`` follow what is found.

    Parameters
    ----------
    counts, grid, problem
        What is fitted, and which of its pixels are neighbours.
    model, channels
        The linear model and its channels in use.
    known
        What is known of the phases.
    options
        Those of `espm_hs.factorization.factorize`.
    end_members, separation, local
        As in `espm_hs.decomposition.decompose.DecompositionOptions`.
    sizes
        How many pixels of the map each of these is the sum of; needed if ``local``.
    pixels
        Those of the map, which are looked at one by one; None: bins alone.
    """

    counts: AnyCounts
    grid: Grid
    problem: Problem
    model: LinearModel
    channels: np.ndarray
    known: Knowledge
    options: FitOptions
    end_members: str = "auto"
    separation: bool = True
    local: bool | str = False
    sizes: np.ndarray | None = None
    pixels: Pixels | None = None

    def __post_init__(self):
        self.places: Places | None = None
        self.sums: Sums | None = None  # of channels, from which phases are found
        # what was chosen among answers that the counts allow, and between which
        # fractions these are
        self.steps: list[str] = []
        self.gains: list[str] = []  # what the counts prefer to what bins say
        self.rise = 0.0  # of F, by these choices
        # which phases are what single pixels show alone
        self.alone = np.zeros(self.problem.n_components, bool)
        self.taken: set[tuple[int, int]] = set()  # (phase, what was taken out of it)
        self.held: set[int] = set()  # whose composition counts and penalties would move
        self.alternatives: np.ndarray | None = None
        self.surroundings: np.ndarray | None = None
        self.shown: np.ndarray | None = None  # alone, of each phase
        self.rows, self.n_jobs = self.model.element_columns, self.options.n_jobs

    def run(
        self,
        init: str | tuple,
        choose_penalties: Callable[[AnyCounts, Problem], Penalties],
    ) -> Fit:
        """Return the factorisation and its errors."""
        self.begin()
        penalties = choose_penalties(self.counts, self.problem)
        self.problem = replace(self.problem, penalties=penalties)
        named, counts = isinstance(init, str), self.counts
        if named and not self.known.single_elements:
            self.sums = self._suited_sums()
        if self.sums is not None:
            self.counts = self.sums.of_counts(counts)
            self.problem = self.sums.of_problem(self.problem)
        with stage(FIRST_FIT, "looking for phases"):
            found = first = self._fit(init, self.options)
        if named:
            with stage(A_ROUND, "looking at the purest pixels"):
                found = self._from_purest(found)
            unknown = self.known.free & ~self.known.located
            found, self.problem = _largest_first(found, self.problem, unknown)
        with stage(A_ROUND, "errors"):
            errors = self._errors(found)
        if named:
            with stage(ALL_ROUNDS, "separating phases"):
                found, errors = self._separated(found, errors)
            with stage(ALL_ROUNDS, "looking further"):
                found, errors = self._searched_on(found, errors)
        named &= not self._all_held
        if self.sums is not None:
            with stage(ALL_ROUNDS, "all channels"):
                found = self._in_all_channels(found, counts)
                errors = self._errors(found)
        if named:
            with stage(A_ROUND, "ends of series"):
                found, errors = self._with_freed_ends(found, errors)
        if named and self.end_members != "outside":
            found, errors = self._hardly_shown(found, errors)
        if named:
            found, errors = self._with_even_films(found, errors)
        if named and self.end_members != "observed" and self.separation:
            with stage(A_ROUND, "taking out the matrix"):
                found, errors = self._without_matrix(found, errors)
        if named:
            with stage(A_ROUND, "single pixels"):
                found, errors = self._of_single_pixels(found, errors)
        if first.ends:
            self.alternatives = self._alternatives(found, first)
        if self.local and not found.interrupted:
            with stage(ALL_ROUNDS, "places"):
                found, errors = self._in_places(found, errors)
        if not (found.interrupted or errors.interrupted):
            found, errors = self._with_end_members(found, errors)
        with stage(ALL_ROUNDS, "feasible ranges"):
            errors = self._with_feasible_ranges(found, errors)
        if named and self.end_members != "outside":
            found, errors = self._as_shown(found, errors)
        counts = self.problem.totals(self.problem.spectra(found.W)) * found.H
        self.surroundings = surroundings(counts, self.grid)
        self.shown = np.where(self.known.free, shown_alone(counts), 1.0)
        return found, errors

    def begin(self) -> None:
        """Make the model that of the composition of the whole."""
        if self.model.depends_on_composition:
            self.model = self_consistent_model(
                self.model, self.counts.spectrum, self.channels
            )
            self.problem = self._alike()

    def _alike(self) -> Problem:
        """Return the problem in which all phases have the same matrix."""
        return replace(self.problem, G=self._in_use(self.model.G))

    def _suited_sums(self) -> Sums | None:
        """Return sums of channels to find phases from; None for a few counts."""
        return Sums.suited_to(self.counts, self.problem)

    def _in_use(self, G: np.ndarray) -> np.ndarray:
        """Return matrices (..., n_channels, n_columns) in what is fitted."""
        G = G[..., self.channels, :]
        return G if self.sums is None else self.sums.of_matrix(G)

    def _in_all_channels(
        self, found: Factorization, counts: AnyCounts
    ) -> Factorization:
        """Go on with all channels from what was found in sums of them."""
        self.counts, self.sums = counts, None
        G = self.model.G
        if self.problem.G is not None and self.problem.G.ndim == 3:
            G = phase_matrices(self.model, closed(found.W[self.rows]))
        n_channels, G = counts.n_channels, self._in_use(G)
        self.problem = replace(self.problem, n_channels=n_channels, G=G)
        options, fixed = replace(self.options, n_init=1), self.problem.fixed
        if found.interrupted:  # it is brought to them, no more
            options = replace(options, max_iter=1)
        elif self.steps or self.problem.ties is not None:
            # what was taken out of a phase comes back, little by little, on a way that
            # lowers F by a few nats
            options = replace(options, tol=ROUGHLY * options.tol, check_every=OFTEN)
        elif options.solver == "auto":
            # the end is close by, in a valley along which small steps creep; elements
            # that are not in a phase stay out, as they do with these
            options = replace(options, solver="newton")
            gone = (found.W == 0) & found.W.any(axis=0)
            known = np.full(found.W.shape, np.nan) if fixed is None else fixed
            self.problem = replace(self.problem, fixed=np.where(gone, 0.0, known))
        self.problem = self._holding(found, sorted(self.held))
        again = self._fit((found.W, np.asarray(found.H)), options)
        self.problem = replace(self.problem, fixed=fixed)
        stopped = found.interrupted or again.interrupted
        both = continued(found, again)  # F in sums is another one
        return replace(both, history=again.history, interrupted=stopped)

    def _in_places(self, found: Factorization, errors: Errors) -> Fit:
        """Go on with the matrix of each place instead of that of each phase.

        With "auto" that is done if the counts prefer it: the two have as many free
        numbers. What starts and ranges are compared by moves with the phases.
        """
        pays: Judge | None = None
        if self.local == "auto":
            if not self._may_be_local(found):
                return found, errors
            pays = self._pays_by(NATS_OF_PLACES, found)
        options = self.options
        if options.solver == "auto" and not self.steps:
            options = replace(options, solver="newton")
        known = self.model, self.channels, options, np.asarray(self.sizes)
        fixed, problem = self.problem.fixed, self._holding(found, sorted(self.held))
        try:
            again = phases_in_places(self.counts, problem, found, *known, pays)
        except LostComponent:
            if pays is None:
                raise
            again = None
        if again is None:
            return found, errors
        if pays is not None and again[1].interrupted:  # of what nobody asked for
            return replace(found, interrupted=True), errors
        if pays is not None and again[1].objective > found.objective:
            return found, errors  # counts are followed along what they hardly tell
        before = closed(found.W[self.rows])
        self.counts, found, problem, self.places = again
        self.problem = replace(problem, fixed=fixed)
        if self.alternatives is not None:
            moved = closed(found.W[self.rows]) - before
            self.alternatives = np.clip(self.alternatives + moved, 0.0, 1.0)
        return found, self._errors(found)

    def _pays_by(self, nats: float, found: Factorization) -> Judge:
        """Return what says whether another fit is better than one by so many nats.

        What the sum of all pixels says does not count: columns that are wrong for all
        pixels look there as other places do.
        """
        spectrum = self.counts.spectrum

        def nats_of(counts: AnyCounts, problem: Problem, fit: Factorization) -> float:
            H = np.asarray(fit.H)
            mean = problem.mean_of(problem.spectra(fit.W)) @ H.sum(axis=0)
            of_fit = counts, replace(problem, free_scales=False), fit.W, H
            whole = divergence_of_fit(*of_fit, n_jobs=self.n_jobs)
            return whole - divergence(spectrum, mean)

        wanted = nats_of(self.counts, self.problem, found) - nats
        return lambda *again: nats_of(*again) < wanted

    def _may_be_local(self, found: Factorization) -> bool:
        """Whether the counts may be asked if each place has a matrix of its own."""
        able = self.model.differs_locally and self._in_counts and not self.alone.any()
        return able and found.converged and not self.known.single_elements

    def _alternatives(self, found: Factorization, first: Factorization) -> np.ndarray:
        """Return the fractions between which starts that fit about as well end.

        Starts are compared where all of them stand alike, before the steps that follow
        on the best: the phases move with these by as much.
        """
        same = self._alike()
        answers = [
            Answer(F, W[self.rows], same.spectra(W))
            for F, W in sorted(first.ends, key=lambda end: end[0])
        ]
        best = answers[0]
        order = matched(self.problem.spectra(found.W), best.spectra)
        low, high = alternatives(best, answers[1:])[:, :, order]
        own = closed(best.composition)[:, order]
        fractions = closed(found.W[self.rows])
        return np.clip([fractions + low - own, fractions + high - own], 0.0, 1.0)

    def _searched_on(self, found: Factorization, errors: Errors) -> Fit:
        """Look further if few of the starts agree: without penalties, and back.

        Where no pixel shows a phase alone, the penalty keeps a fit where it began. The
        counts alone lead away from there. The same steps are taken before F decides,
        of which what they cost does not count: that was a choice. Single pixels may
        object, where a lower F follows the noise of what bins are taken to hold.
        """
        penalties = self.problem.penalties
        undecided = found.n_agreeing < LEAST_AGREEING * len(found.objectives)
        if not (undecided and self._settled(found)) or self._all_held:
            return found, errors
        before = self.problem, self.steps, self.rise, self.taken, self.held
        # elements agreed that what was taken out is not there: a few nats are no reason
        # to put it back
        worth = NATS_PER_NUMBER * len(self.rows) if self.steps else 0.0
        lowest = found.objective - self.rise - worth
        self.steps, self.rise, self.taken, self.held = [], 0.0, set(), set()
        other, others = found, errors
        with suppress(LostComponent):  # which the counts do not bear out: nothing else
            with stage(A_ROUND):
                other = self._continued(found, Penalties(), self._short)
            with stage(A_ROUND):
                other = self._continued(other, penalties, self._short)
            if other.objective < lowest + MOST_GAINED:
                other, others = self._separated(other, self._errors(other))
            if other.objective - self.rise < lowest and not other.interrupted:
                try:
                    preferred = self._borne_out(other, found, before[0])
                except KeyboardInterrupt:
                    preferred, other = False, replace(other, interrupted=True)
                if preferred and not (other.converged or self._all_held):
                    other = self._continued(other, penalties, self.options)
                    others = self._errors(other)
                if preferred:
                    return other, others
        self.problem, self.steps, self.rise, self.taken, self.held = before
        spent = replace(found, n_iter=other.n_iter, interrupted=other.interrupted)
        return spent, errors

    def _borne_out(
        self, other: Factorization, found: Factorization, of_found: Problem
    ) -> bool:
        """Whether single pixels do not object to another fit."""
        if self.pixels is None or not self._may_tell(other):
            return True
        some, k = self.pixels.to_tell, self.problem.n_components
        counts = self.sums.of_counts(some.counts) if self.sums else some.counts
        single = SinglePixels(counts, some.grid, k)
        likelihood, _ = single.compare(of_found, found.W)
        return single.compare(self.problem, other.W)[0] > likelihood - MOST_LOST

    def _from_purest(self, found: Factorization) -> Factorization:
        """Begin again where a phase is what its purest pixels show, if F falls.

        A phase that no pixel shows alone may be what two others have in common, and one
        of these what is left: no small step leads from there to the two.
        """
        left = set(range(found.W.shape[1]))
        while left and self._settled(found):
            mixing = self._purest(found, found.H)
            # what is shown best is tried first, and may bring out others
            phase = max(left, key=lambda one: (mixing[one, one] < 1, mixing[one, one]))
            if mixing[phase, phase] == 1:
                break
            left.remove(phase)
            found = self._begun_with(found, phase, mixing[phase])
        return found

    def _begun_with(
        self, found: Factorization, phase: int, shares: np.ndarray
    ) -> Factorization:
        """Begin again with a phase that is a mixture; return the better fit.

        Penalties may prefer a mixture that is mostly something else, as there is little
        of the phase then: the counts have to prefer it, too.
        """
        before, again, W = self.problem, found, found.W.copy()
        W[:, phase] = found.W @ shares
        lowest = found.objective - ELSEWHERE
        worst = self._divergence(found) if shares[phase] < LEAST_SHOWN else np.inf
        with suppress(LostComponent):
            start = self._mapped(found, W)
            again = self._fit((start.W, off_zero(start.H)), self._short)
            again = continued(found, again)
            pays = again.objective < lowest and self._divergence(again) < worst
            if pays and not again.interrupted:
                return self._continued(again, self.problem.penalties, self.options)
        self.problem = before
        return replace(found, n_iter=again.n_iter, interrupted=again.interrupted)

    def _purest(
        self, found: Factorization, H: np.ndarray, known: Sequence[int] = ()
    ) -> np.ndarray:
        """Return what the purest pixels hold of phases of which nothing is known."""
        H = np.asarray(H)  # which may lie on a cluster
        mixing = purest_mixtures(H, self._counts_of(found.W, H))
        fixed = ~self.known.free | self.known.located
        fixed[list(known)] = True
        mixing[fixed] = np.eye(len(mixing))[fixed]
        return mixing

    def _settled(self, found: Factorization) -> bool:
        """Whether penalties may keep a fit where it is for no other reason."""
        acts = self.problem.penalties.acts
        return acts and found.converged and not found.interrupted

    def _may_tell(self, found: Factorization) -> bool:
        """Whether single pixels may tell what bins do not."""
        known = self.known.single_elements or bool(self.known.located.any())
        open_to_all = self.pixels is not None and self.local is not True
        several = self.problem.n_components > 1
        return open_to_all and several and not (known or found.interrupted)

    def _of_single_pixels(self, found: Factorization, errors: Errors) -> Fit:
        """Go on with what makes the counts of single pixels most probable.

        Bins mix phases, and what is found in each is noise to some part, which drives
        phases apart. A phase that no pixel shows alone stays as it is. Where pixels
        have many counts that is asked for only if phases were driven apart by much, or
        if bins mix: pixels hold shares then that no class has, so that bins may object.
        """
        pixels, k = self.pixels, found.W.shape[1]
        if pixels is None or not self._may_tell(found):
            return found, errors
        changed = [phase for phase, _ in self.taken]
        mixing = self._purest(found, self._on_grid(found), changed)
        few = pixels.counts.mean_counts <= MOST_COUNTS
        mixed = few or pixels.binning > 1
        if not mixed and np.array_equal(mixing, np.eye(k)):
            return found, errors
        before = self.problem, self.gains.copy()
        try:
            single = SinglePixels(pixels.counts, pixels.grid, k)
            begun, beside = self._with_what_lies_beside(found, errors, mixing, single)
            if not (mixed or beside.any()):
                return found, errors
            W, gained, alone = single.fit(self.problem, begun.W, NATS_GAINED)
            if gained > 0.0:
                self.problem = self._with_own_matrices(W)
                W, *_ = single.fit(self.problem, W, 0.0)
        except KeyboardInterrupt:
            self.problem, self.gains = before
            return replace(found, interrupted=True), errors
        if gained == 0.0 and not beside.any():
            return found, errors
        again, now = self._mapped(begun, W), self.problem
        if not (few or beside.any()):
            nats, self.problem = self._divergence(again), before[0]
            if nats > self._divergence(found):
                return found, errors
            self.problem = now
        self.alone = beside | (alone & (gained > 0.0))
        if gained > 0.0:
            self.gains.append(
                "Phases that single pixels show alone are those that make the counts "
                f"of all pixels most probable, by {gained:.0f} nats more than those "
                f"before; F {again.objective - found.objective:+.1f}."
            )
        return again, self._errors(again)

    def _with_what_lies_beside(
        self,
        found: Factorization,
        errors: Errors,
        mixing: np.ndarray,
        single: SinglePixels,
    ) -> tuple[Factorization, np.ndarray]:
        """Leave in phases what their purest pixels show with them, if counts say so.

        A spectrum beyond what any pixel shows follows some of the noise of all pixels,
        and costs penalties little. Where single pixels are more probable if some of
        them show the phase alone, it is what these show, unless elements say that there
        it lies on or in another phase. Returns which phases are.
        """
        unit, changed = np.eye(len(mixing)), np.zeros(len(mixing), bool)
        asked = (mixing != unit).any(axis=1)
        if not asked.any():
            return found, changed
        most, alone = single.compare(self.problem, found.W)
        # of what lies in just one other phase pixels do not tell how the two are mixed
        asked &= ~alone & (alone.sum() > 1)
        for phase in np.flatnonzero(asked).tolist():
            one, before, shown = unit.copy(), self.problem, mixing[phase]
            one[phase], host = shown, np.argmax(shown - unit[phase])
            W, covariance = found.W @ one.T, _of_mixtures(errors, one).covariance
            if find_overlap(W, covariance, self.rows, allowed=unit[[phase]].T > 0):
                continue
            self.problem = self._with_own_matrices(W)
            gain = single.compare(self.problem, W)[0] - most
            pays = gain > NATS_GAINED * (len(unit) - 1)
            known = found.W, errors.covariance, self.rows
            lacking = pays and lacks_several(*known, phase, shown)
            if lacking:
                self.steps.append(
                    f"Phase {phase} lacks several elements of phase {host} beside it, "
                    f"and stays so: single pixels are less probable by {gain:.0f} nats."
                )
            if lacking or not pays:
                self.problem = before
                continue
            self.gains.append(
                f"Phase {phase} is what its purest pixels show, which makes the counts "
                f"of single pixels more probable by {gain:.0f} nats."
            )
            found, most, changed[phase] = replace(found, W=W), most + gain, True
        return found, changed

    def _with_own_matrices(self, W: np.ndarray) -> Problem:
        """Return the problem in which phases have the matrices of their composition."""
        if self.problem.G is None or self.problem.G.ndim != 3:
            return self.problem
        G = phase_matrices(self.model, closed(W[self.rows]))
        return replace(self.problem, G=self._in_use(G))

    @property
    def _short(self) -> FitOptions:
        """Options of a fit that tries whether there is a lower F elsewhere."""
        passes = min(MOST_PASSES, self.options.max_iter)
        return replace(self.options, n_init=1, max_iter=passes)

    def _continued(
        self, found: Factorization, penalties: Penalties, options: FitOptions
    ) -> Factorization:
        """Go on from a fit with other penalties."""
        if found.interrupted:
            return found
        self.problem = replace(self.problem, penalties=penalties)
        start = found.W, off_zero(found.H)
        return continued(found, self._fit(start, replace(options, n_init=1)))

    def _fit(self, init: str | tuple, options: FitOptions) -> Factorization:
        """Fit the phases, each with the matrix of its own composition."""
        refine = self.model.depends_on_composition and not self.known.single_elements
        with stage(ALL_ROUNDS if refine else 1.0):
            found = factorize(self.counts, self.problem, init=init, options=options)
        if refine:
            found, self.problem = self_consistent_phases(
                self.counts, self.problem, found, self.model, self._in_use, options
            )
        return found

    def _state(
        self, found: Factorization
    ) -> tuple[AnyCounts, Problem, np.ndarray, np.ndarray]:
        """Return the fit as what asks for its errors takes it."""
        problem = replace(self.problem, free_scales=False)
        return self.counts, problem, found.W, found.H

    def _separated(self, found: Factorization, errors: Errors) -> Fit:
        """Take phases out of others for as long as some are found in others."""
        k = self.problem.n_components
        # what is known not to be in a phase, and still is everywhere with it
        hosts = accompanying(self._counts_of(found.W, found.H), ~self.known.free)
        allowed = self.known.apart(self.rows)
        for _ in range(k * (k - 1) if self._in_counts and self.separation else 0):
            if found.interrupted or self._all_held:
                break
            try:
                overlaps, take_out = self._overlaps(found, errors, hosts, allowed)
                taken_from = {overlap.other for overlap in overlaps}
                overlaps = overlaps or self._inclusions(found, errors, allowed)
            except KeyboardInterrupt:
                return replace(found, interrupted=True), errors
            if not overlaps:
                break
            with stage(A_ROUND):
                again = take_out(found, overlaps)
            if again is None:
                for overlap in overlaps:
                    allowed[overlap.phase, overlap.other] = False
                continue
            self.taken |= {(one.phase, one.other) for one in overlaps if one.sure}
            if take_out == self._on_even_film:  # once is enough, and it has all it has
                allowed[overlaps[0].other] = allowed[:, overlaps[0].other] = False
            hosts |= taken_from
            found, errors = again, self._errors(again)
        return found, errors

    def _without(
        self,
        found: Factorization,
        overlaps: list[Overlap],
        told: str = "",
        as_it_is: bool = False,
    ) -> Factorization | None:
        """Take phases out of others and fit again; None if the counts speak against it.

        What is left out of the spectra the maps can make up for, so that the counts
        have no reason to be fitted worse. ``told`` says what was done, if not that.
        With ``as_it_is`` the refit is the judge alone: what is left of the phases stays
        what it is, and has its maps.
        """
        start = _all_separate(found, overlaps, self.rows)
        once, fixed = replace(self.options, n_init=1), self.problem.fixed
        changed = {overlap.phase for overlap in overlaps}
        self.problem = self._holding(found, sorted(self.held))
        again = self._tried(
            found, len(changed), lambda: continued(found, self._fit(start, once))
        )
        self.problem = replace(self.problem, fixed=fixed)
        if again is None:
            return None
        if as_it_is:
            again = self._mapped(again, start[0])
        gone = {overlap.other for overlap in overlaps}
        text = told or _told(gone, changed)
        text = text.format(one=overlaps[0], percent=100 * overlaps[0].amount)
        self._stepped(text, again.objective - found.objective)
        return again

    def _tried(
        self, found: Factorization, n_changed: int, step: Callable[[], Factorization]
    ) -> Factorization | None:
        """Take a step; None, and all as it was, if the counts speak against it.

        Each step that takes something out of so many phases is judged here: by a refit,
        in the counts that the phases are found from.
        """
        before = self.problem
        worse = -self._divergence(found)
        try:
            again = step()
        except LostComponent:  # there is nothing left of a phase
            return None
        worse += self._divergence(again)
        if worse > NATS_PER_NUMBER * n_changed * len(self.rows):
            self.problem = before
            return None
        return again

    @property
    def _in_counts(self) -> bool:
        """Whether a pixel may hold any amount of a phase."""
        return self.problem.simplex != "abundances"

    def _counts_of(self, W: np.ndarray, H: np.ndarray) -> np.ndarray:
        """Return the counts of each phase in each pixel."""
        return self.problem.spectra(W).sum(axis=0) * H

    def _divergence(self, found: Factorization) -> float:
        """Return what the counts say of a fit, in nats."""
        return divergence_of_fit(*self._state(found), n_jobs=self.n_jobs)

    def _overlaps(
        self, found: Factorization, errors: Errors, hosts: set[int], allowed: np.ndarray
    ) -> tuple[list[Overlap], Callable]:
        """Return what to take out of phases next, a film or the surest overlap; how."""
        known = errors.covariance, self.rows
        H = self._on_grid(found)
        if films := find_films(found.W, H, *known, self.grid, allowed):
            return films, self._without
        if on_it := self._even_film(found, allowed):
            return on_it, self._on_even_film
        even, over = films_of(H, self.grid), self._lie_over(found, hosts)
        while overlap := find_overlap(found.W, *known, over, allowed, even):
            pair = overlap.phase, overlap.other
            if over[pair] or self._uptake(found, [pair])[pair] > LEAST_OF_OVERLAP:
                return [overlap], self._without
            allowed[pair] = False
        return [], self._without

    @property
    def _all_held(self) -> bool:
        """Whether the composition of all phases is settled."""
        return len(self.held) == self.problem.n_components

    def _even_film(self, found: Factorization, allowed: np.ndarray) -> list[Overlap]:
        """Return a film in what lies on it, as much as the film being even tells."""
        penalised = self.problem.penalties.acts and self.problem.ties is None
        if not (penalised and (self.known.free & ~self.known.located).all()):
            return []
        counts = self.counts
        if self.sizes is not None and self.sizes.min() < self.sizes.max():
            counts = counts.take(self.sizes == self.sizes.max())
        maps = linear_maps(counts, self.problem.spectra(found.W))
        return even_film(found.W, self.rows, *maps, allowed)

    def _on_even_film(
        self, found: Factorization, on_it: list[Overlap]
    ) -> Factorization | None:
        """Take an even film out of what lies on it; None if the counts object."""
        W, _ = _all_separate(found, on_it, self.rows)
        in_it = in_film(W, self.rows, on_it[0].other)
        if any(one.amount > LEAST_OVERLAP for one in in_it):
            return self._everywhere_on(found, W, on_it)
        return self._without(found, on_it, _on_film(on_it))

    def _everywhere_on(
        self, found: Factorization, W: np.ndarray, on_it: list[Overlap]
    ) -> Factorization | None:
        """Go on from phases that lie on a film everywhere, without penalties.

        Where each pixel holds the film and something else, few phases in a pixel are
        no more likely than many. Along what counts hardly tell, small steps stay close
        to where the film being even has put the phases; what of these is in the film
        counts do not tell at all.
        """
        before, small_steps = self.problem, replace(self.options, n_init=1, solver="mu")

        def freed(W: np.ndarray) -> Factorization:
            """Go on from phases without penalties."""
            self.problem = replace(before, penalties=Penalties())
            start = W, off_zero(self._mapped(found, W).H)
            return continued(found, self._fit(start, small_steps))

        as_before = freed(found.W)
        if as_before.interrupted:
            self.problem = before
            return replace(found, interrupted=True)
        before_it = self._divergence(as_before)
        again = self._tried(as_before, len(on_it), lambda: freed(W))
        if again is None:
            self.problem = before
            return None
        gain = before_it - self._divergence(again)
        in_it = in_film(again.W, self.rows, on_it[0].other)
        W, _ = _all_separate(again, in_it, self.rows)
        self.held = set(range(W.shape[1]))
        told = (
            f"{_on_film(on_it)}; as they lie on it everywhere, few phases in a pixel "
            f"are not preferred (log-likelihood {gain:+.0f} nats)"
        )
        # to be compared with that of others
        penalised = replace(self.problem, penalties=before.penalties)
        _, F = fit_maps(self.counts, penalised, W, n_jobs=self.n_jobs)
        self._stepped(told, F - found.objective)
        return replace(self._mapped(again, W), objective=F)

    def _stepped(self, told: str, rise: float) -> None:
        """Note what was done, and by how much F rose."""
        self.rise += max(rise, 0.0)
        self.steps.append(f"{told}; F {rise:+.1f}.")

    def _lie_over(self, found: Factorization, hosts: set[int]) -> np.ndarray:
        """Return around which phases (rows) hosts of others (columns) lie, too."""
        held = np.zeros((found.W.shape[1],) * 2)
        if not hosts:
            return held > 0
        return self._hosts(found, held) & np.isin(np.arange(len(held)), list(hosts))

    def _uptake(
        self, found: Factorization, pairs: list[tuple[int, int]]
    ) -> dict[tuple[int, int], float]:
        """Return how much more of others phases would hold with fewer counts."""
        return uptake(*self._state(found), pairs, n_jobs=self.n_jobs)

    def _inclusions(
        self, found: Factorization, errors: Errors, allowed: np.ndarray
    ) -> list[Overlap]:
        """Return what to take out of a phase that the counts see nowhere alone."""
        overlap = find_inclusion(
            found.W,
            errors.covariance,
            self.rows,
            allowed & self.known.free[:, None],
            lambda pairs: self._uptake(found, pairs),
            lambda held: self._hosts(found, held),
        )
        return [] if overlap is None else [overlap]

    def _hosts(self, found: Factorization, held: np.ndarray) -> np.ndarray:
        """Return which phases (row) others (column) may be everywhere with."""
        H = self._on_grid(found)
        counts = self._counts_of(found.W, H)
        return hosts_of(H, counts, self.grid, held)

    def _with_end_members(self, found: Factorization, errors: Errors) -> Fit:
        """Say which phases are ends of a series, and move the ends if that is wanted.

        Those of which something is known stay where they are.
        """
        for one in self._series(found.W, self._on_grid(found)):
            ends = one.ends
            if self.end_members == "observed":
                mixing = one.mixing(found.W.shape[1])
                found = self._as_mixtures(found, mixing)
                errors = _of_mixtures(errors, mixing)
                ends = "as far as pixels show"
            text = one.text(found.W[self.rows], self.model.elements, self.known.labels)
            self.steps.append(f"{text}, {ends}.")
        return found, errors

    def _with_freed_ends(self, found: Factorization, errors: Errors) -> Fit:
        """Let the ends of a series lie where the counts alone would have them.

        The preference for few phases in a pixel draws the ends of a continuum into it,
        so that more of its pixels are one of them.
        """
        if self.problem.ties is not None or not self._settled(found):
            return found, errors
        pairs = self._series(found.W, self._on_grid(found))
        ends = sorted({end for one in pairs for end in (one.phase, one.other)})
        if not ends:
            return found, errors
        before = self.problem
        others = np.delete(np.arange(found.W.shape[1]), ends).tolist()
        self.problem = replace(self._holding(found, others), penalties=Penalties())
        start = self._mapped(found, found.W)
        gain, again = -np.inf, found
        with suppress(LostComponent):
            again = self._fit((start.W, off_zero(start.H)), self._short)
            gain = self._divergence(start) - self._divergence(again)
        needed = NATS_GAINED * len(self.rows) * len(ends)
        if gain <= needed or not again.converged:  # where counts do not tell, it creeps
            self.problem = before
            return replace(found, interrupted=again.interrupted), errors
        self.problem = replace(before, G=self.problem.G)
        freed = self._mapped(found, again.W)
        self.gains.append(
            f"Ends of a series are where the counts alone have them, {gain:.0f} nats "
            f"better; F {freed.objective - found.objective:+.1f}."
        )
        return freed, self._errors(freed)

    def _hardly_shown(self, found: Factorization, errors: Errors) -> Fit:
        """Make phases of which pixels show just a trace what these pixels show."""
        free = self.known.free & ~self.known.located
        H, fractions = self._on_grid(found), closed(found.W[self.rows])
        counts = self._counts_of(found.W, H)
        films = films_of(H, self.grid)  # on which little of a phase may lie
        shown = {
            phase: one
            for phase, one in hardly_shown(fractions, H, counts).items()
            if free[phase] and self._in_counts and found.converged
            if not films[one[0]] and (phase, one[0]) not in self.taken
        }
        if not shown:
            return found, errors
        mixing = np.eye(len(free))
        for phase, (host, shares) in shown.items():
            mixing[phase] = shares
            self.steps.append(
                f"No pixel shows more of phase {phase} than {100 * shares[phase]:.0f} "
                f"% in phase {host}: it is taken for what these pixels are "
                '(end_members="outside": for a phase of its own).'
            )
        mixed = self._as_mixtures(found, mixing)
        return self._mapped(mixed, mixed.W), _of_mixtures(errors, mixing)

    def _holding(self, found: Factorization, phases: Sequence[int]) -> Problem:
        """Return the problem in which the composition of some phases is known."""
        if not phases:
            return self.problem
        known = self.problem.fixed
        fixed = np.full(found.W.shape, np.nan) if known is None else known.copy()
        here = np.ix_(self.rows, np.asarray(phases))
        fixed[here] = closed(found.W[self.rows])[:, phases]
        return replace(self.problem, fixed=fixed)

    def _series(self, W: np.ndarray, H: np.ndarray) -> list[Series]:
        """Return the series between phases of which nothing is known."""
        free = self.known.free & ~self.known.located
        found = find_series(W, H, self.rows, self.grid)
        return [one for one in found if free[one.phase] and free[one.other]]

    def _as_shown(self, found: Factorization, errors: Errors) -> Fit:
        """Leave in a phase that no pixel shows alone what all pixels show with it.

        Where a phase takes the place of another one atom for atom, counts do not tell
        how much of that other one belongs to it; what pixels show it is at least seen.
        """
        free = self.known.free & ~self.known.located
        known = found.W, found.H, errors.covariance, self.rows
        shares = inclusions(*known, errors.feasible_ranges, free)
        hosts = self._hosts(found, np.zeros((len(free),) * 2))
        shares = {
            pair: share
            for pair, share in shares.items()
            if hosts[pair] and pair not in self.taken and not self.alone[pair[0]]
        }
        if not shares:
            return found, errors
        # what pixels show is where the counts begin to object, not where they forbid it
        asked, n_jobs = list(shares), self.n_jobs
        try:
            shown = mixing_ranges(
                *self._state(found), rise=BEGINS_TO_RISE, pairs=asked, n_jobs=n_jobs
            )[1]
        except KeyboardInterrupt:
            return found, replace(errors, interrupted=True)
        mixing = np.eye(len(free))
        for phase, host in shares:
            share = float(shown[phase, host])
            mixing[phase, phase], mixing[phase, host] = 1 - share, share
            self.steps.append(
                f"Phase {phase} is nowhere alone: the {100 * share:.0f} % of phase "
                f"{host} that all pixels show with it are left in it."
            )
        mixed = self._as_mixtures(found, mixing)
        found = self._mapped(mixed, np.maximum(mixed.W, 0.0))
        return found, self._with_feasible_ranges(found, _of_mixtures(errors, mixing))

    def _with_even_films(self, found: Factorization, errors: Errors) -> Fit:
        """Leave in phases what a film would be thicker by where they lie on it.

        As many of the elements of the film as can be were taken out of them. A film
        does not know what lies on it: what there is more of it there is theirs.
        """
        if not self.taken or found.interrupted or errors.interrupted:
            return found, errors
        H, mixing = self._on_grid(found, free=True), np.eye(found.W.shape[1])
        films, covariance = films_of(H, self.grid), errors.covariance.copy()
        for phase, film in sorted(self.taken):
            more, error = thicker_under(H, film, phase, self.grid)
            if not (films[film] and more > CERTAIN * error):
                continue
            mixing[phase, [phase, film]] = 1 / (1 + more), more / (1 + more)
            away = (found.W[:, film] - found.W[:, phase]) * error / (1 + more)
            covariance[phase] += np.outer(away, away)
            self.held.add(phase)
            self.steps.append(
                f"Phase {film} would be thicker under phase {phase}, which keeps "
                f"{100 * mixing[phase, film]:.0f} % of it: that the film is even is "
                f"more probable by {(more / error) ** 2 / 2:.0f} nats."
            )
        if not self.held:
            return found, errors
        mixed = self._as_mixtures(found, mixing)
        errors = _of_mixtures(replace(errors, covariance=covariance), mixing)
        return self._mapped(mixed, mixed.W), errors

    def _without_matrix(self, found: Factorization, errors: Errors) -> Fit:
        """Take what little phases have of the phase that they lie in out of them."""
        ready = found.converged and not (errors.interrupted or found.interrupted)
        if not ready or self.problem.n_components == 1 or not self._in_counts:
            return found, errors
        free = self.known.free & ~self.known.located
        known, H = (errors.covariance, self.rows), self._on_grid(found)
        for one in coatings(found.W, H, *known, self.grid, free):
            found, errors = self._taken_out(found, errors, one, OF_COATING)
        W, H, known = found.W, self._on_grid(found), (errors.covariance, self.rows)
        matrix = remnants(W, self._counts_of(W, H), *known, self.grid, free, H)
        # where just a trace is known to be gone, penalties would put back the rest in a
        # refit: these come last
        for one in sorted(matrix, key=lambda one: is_trace(W, one)):
            found, errors = self._taken_out(found, errors, one, OF_MATRIX)
        return found, errors

    def _taken_out(
        self, found: Factorization, errors: Errors, one: Overlap, told: str
    ) -> Fit:
        """Take a phase out of another one, if the counts permit it."""
        if (one.phase, one.other) in self.taken:
            return found, errors
        # in a refit, penalties would move a phase that lies over another one
        over = told == OF_COATING or bool(self.held)
        as_it_is = over or is_trace(found.W, one)
        again = self._without(found, [one], told, as_it_is=as_it_is)
        if again is None:
            return found, errors
        mixing, rest = np.eye(found.W.shape[1]), 1 - one.amount
        mixing[one.phase, one.phase] = 1 / rest
        mixing[one.phase, one.other] = -one.amount / rest
        self.taken.add((one.phase, one.other))
        if told == OF_COATING:
            self.held.add(one.other)
        # parts of the counts do not tell what is held at zero
        return again, _of_mixtures(errors, mixing)

    def _mapped(self, found: Factorization, W: np.ndarray) -> Factorization:
        """Return the fit with spectra that are known, and their maps."""
        H, F = fit_maps(self.counts, self.problem, W, n_jobs=self.n_jobs)
        return replace(found, W=W, H=H, objective=F)

    def _on_grid(self, found: Factorization, free: bool = False) -> np.ndarray:
        """Return the maps of a fit in bins, for each of their pixels.

        Bins at the edge of a map have fewer of these, which is no sign of less of a
        phase. ``free``: as counts alone have the maps.
        """
        H = found.H
        if free:
            problem = replace(self.problem, penalties=Penalties())
            H, _ = fit_maps(self.counts, problem, found.W, n_jobs=self.n_jobs)
        return np.asarray(H) / (1 if self.sizes is None else self.sizes[:, None])

    def _as_mixtures(self, found: Factorization, mixing: np.ndarray) -> Factorization:
        """Make mixtures the phases.

        Their matrices are mixed as well, which is exact where all are the same; those
        of places stay.
        """
        return self._with_matrices(as_observed(found, mixing), mixing)

    def _with_matrices(self, found: Factorization, mixing: np.ndarray) -> Factorization:
        """Give mixtures of the phases their matrices; return the fit with these."""
        if self.places is not None:
            matrices = self.places.matrices(self.model, self.channels)
            number = self.places.number
            self.problem, H, atoms = in_places(self.problem, found, matrices, number)
            self.places = replace(self.places, atoms=atoms)
            return replace(found, H=H)
        if self.problem.G is not None and self.problem.G.ndim == 3:
            shares = np.maximum(
                mixing, 0.0
            )  # no phase holds less than nothing of another
            shares /= shares.sum(axis=1, keepdims=True)
            G = np.tensordot(shares, self.problem.G, 1)
            self.problem = replace(self.problem, G=G)
        return found

    def errors_of(self, found: Factorization) -> Errors:
        """Return the errors of a fit, with feasible ranges."""
        return self._with_feasible_ranges(found, self._errors(found))

    def _errors(self, found: Factorization) -> Errors:
        """Return covariance and bias of W, NaN if the user did not want to wait."""
        try:
            errors = composition_covariance(*self._state(found), n_jobs=self.n_jobs)
            return Errors(*errors)
        except KeyboardInterrupt:
            n_columns, k = found.W.shape
            unknown = np.full((k, n_columns, n_columns), np.nan)
            return Errors(unknown, np.full_like(found.W, np.nan), interrupted=True)

    def _with_feasible_ranges(self, found: Factorization, errors: Errors) -> Errors:
        """Add how far the phases may be mixed, where that can be asked."""
        stopped = errors.interrupted or found.interrupted
        alone = self.known.single_elements or self.problem.n_components == 1
        if stopped or alone:
            return errors
        try:
            ranges = mixing_ranges(*self._state(found), n_jobs=self.n_jobs)
        except KeyboardInterrupt:
            return replace(errors, interrupted=True)
        return replace(errors, feasible_ranges=ranges)


def _of_mixtures(errors: Errors, mixing: np.ndarray) -> Errors:
    """Return the errors of mixtures of the phases."""
    covariance = np.tensordot(mixing**2, errors.covariance, 1)
    return replace(errors, covariance=covariance, bias=errors.bias @ mixing.T)


def _all_separate(
    found: Factorization, overlaps: Sequence[Overlap], elements: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Take phases out of others, one after the other; return W and H."""
    start = found.W, np.asarray(found.H)
    for one in overlaps:
        start = separate(*start, one, elements)
    return start


def _on_film(on_it: list[Overlap]) -> str:
    """Say what lies on an even film."""
    names = listed([f"phase {one.phase}" for one in on_it])
    film = f"Phase {on_it[0].other} is the same everywhere"
    return f"{film}, which says how much of it to take out of {names}"


def _told(gone: set[int], changed: set[int]) -> str:
    """Say what was taken out of which phases."""
    of, out_of = ("phase" + "s" * (len(some) > 1) for some in (gone, changed))
    names = [", ".join(map(str, sorted(some))) for some in (gone, changed)]
    return f"{of.capitalize()} {names[0]} taken out of {out_of} {names[1]}"


def _largest_first(
    found: Factorization, problem: Problem, unknown: np.ndarray
) -> tuple[Factorization, Problem]:
    """Sort phases, each with its G, by the counts that belong to them.

    Those of which something is known keep their number.
    """
    share = problem.spectra(found.W).sum(axis=0) * found.H.sum(axis=0)
    order, places = np.arange(share.size), np.flatnonzero(unknown)
    order[places] = places[np.argsort(-share[places], kind="stable")]
    if problem.G is not None and problem.G.ndim == 3:
        problem = replace(problem, G=problem.G[order])
    if problem.shares is not None:
        problem = replace(problem, shares=problem.shares[:, order])
    W, H = (array[:, order].copy() for array in (found.W, found.H))
    return replace(found, W=W, H=H), problem
