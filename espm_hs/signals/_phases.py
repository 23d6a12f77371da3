"""Phases in HyperSpy's terms: a method of the signal classes, and its results.

What HyperSpy itself keeps of a decomposition is behind `espm_hs.metadata.learning`.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial, wraps
from typing import Any

import hyperspy.api as hs
import numpy as np
from exspy.signals import EDSSpectrum, EDSTEMSpectrum

from espm_hs.arguments import check_flag, did_you_mean
from espm_hs.calibration.automatic import calibration_text, drift_text
from espm_hs.decomposition.cautions import PhaseWarning
from espm_hs.decomposition.decompose import (
    DecompositionOptions,
    NoCounts,
    decompose,
)
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.decomposition.starts import previous_start
from espm_hs.metadata.learning import (
    ALGORITHMS,
    Learned,
    inherited,
    inherited_parameters,
    keep,
)
from espm_hs.metadata.reader import guessed_by, mixing_text, of_file, stated
from espm_hs.metadata.schema import RESULTS
from espm_hs.metadata.writer import (
    AllOrNothing,
    provenance,
    remove,
    write_parameters,
)
from espm_hs.output import warn_unconverged
from espm_hs.physics.linear_model import LinearModel
from espm_hs.quantification.named_phases import contradicted_names
from espm_hs.quantification.report import film_text, scale_text
from espm_hs.signals._components import Components
from espm_hs.signals._masks import arrays_of, shown_progress, used_channels, used_pixels

# Names in other packages -> ours.
NAMES_ELSEWHERE = {
    "n_phases": "output_dimension",
    "n_components": "output_dimension",
    "mask": "navigation_mask",
}
# Options that do not change a result are not stored with it.
NOT_STORED = {"n_jobs", "callback", "check_every", "names"}
# What the record of a decomposition has beside the result, see `provenance`.
RECORD = ("versions", "options")


@contextmanager
def _algorithm_named(algorithm: Any) -> Iterator[None]:
    """Say of an algorithm that is not known that it is not, and not what follows.

    HyperSpy looks at the type of the data first, and asks for floating point.
    """
    try:
        yield
    except (TypeError, ValueError, AttributeError) as error:
        names = ["espm", *ALGORITHMS]
        if not isinstance(algorithm, str) or algorithm in names:
            raise
        lower = {name.lower(): name for name in names}
        hint = did_you_mean(algorithm.lower(), (), lower)
        raise ValueError(
            f"`algorithm` is {algorithm!r}, which is not recognised. Expected is "
            f"'espm' or one of HyperSpy's, {', '.join(map(repr, ALGORITHMS))}.{hint}"
        ) from error


def beside_hyperspy(find_phases: Callable, parents: Sequence[Any]) -> Callable:
    """Make a `decomposition` of a method for "espm"; others go on as they were called.

    The signature that `help` and completion show has the arguments of the method, and
    after them those of the same method of the parents.
    """
    shown = inspect.signature(find_phases, eval_str=True).parameters
    known = [name for name in shown if name not in ("self", "args", "algorithm")]
    known.remove("kwargs")

    @wraps(find_phases)
    def decomposition(
        self: Phases, *args: Any, algorithm: Any = "SVD", **kwargs: Any
    ) -> Any:
        if args and isinstance(args[0], str):
            raise TypeError(
                f"{args[0]!r} is given where no name of an algorithm belongs. Give all "
                "arguments by name, `s.decomposition(algorithm='espm', "
                "output_dimension=3)`."
            )
        if not (isinstance(algorithm, str) and algorithm == "espm"):
            with _algorithm_named(algorithm):
                theirs = inherited(Phases, self, "decomposition")
                info = theirs(*args, algorithm=algorithm, **kwargs)
            # the maps of these phases are gone
            remove(self.metadata, RESULTS)
            return info
        if args:
            raise TypeError(
                "With algorithm='espm' all arguments are given by name, for "
                "example `s.decomposition(algorithm='espm', output_dimension=3)`."
            )
        if unknown := [name for name in kwargs if name not in known]:
            hint = did_you_mean(unknown[0], known, NAMES_ELSEWHERE)
            names = ", ".join(f"`{name}`" for name in unknown)
            raise TypeError(
                f"`decomposition(algorithm='espm')` does not know {names}.{hint} Its "
                f"options are {', '.join(known)}; it takes none of other algorithms."
            )
        return find_phases(self, **kwargs)

    added = [
        one.replace(kind=one.KEYWORD_ONLY, annotation=one.empty)
        for name, one in inherited_parameters(parents).items()
        if name not in shown
    ]
    *ours, rest = shown.values()
    signature = inspect.Signature([*ours, *added, rest])
    vars(decomposition)["__signature__"] = signature
    return decomposition


class Phases(Components):
    """Finds phases and keeps them; part of `EDSespmSpectrum`."""

    @partial(beside_hyperspy, parents=(EDSTEMSpectrum, hs.signals.BaseSignal))
    def decomposition(
        self,
        *args: Any,
        algorithm: Any = "SVD",
        output_dimension: int | None = None,
        sparsity: float | str | None = None,
        smoothness: float | str | Sequence[float] = "auto",
        simplex: str | None = "elements",
        calibration: str = "auto",
        known_phases: Mapping | str | None = None,
        fixed_composition: Mapping[int, Mapping[str, float]] | None = None,
        solver: str = "auto",
        binning: int | str = "auto",
        init: str | tuple = "nndsvd",
        n_init: int = 4,
        max_iter: int = 1000,
        tol: float = 1e-4,
        random_state: Any = 0,
        end_members: str = "auto",
        separation: bool = True,
        local_absorption: bool | str = "auto",
        n_jobs: int = -1,
        show_progressbar: bool | None = None,
        navigation_mask: Any = None,
        signal_mask: Any = None,
        return_info: bool = False,
        print_info: bool = True,
        normalize_poissonian_noise: bool = True,
        **kwargs: Any,
    ) -> PhaseAnalysis | None:
        """Decompose the map into components.

        ``algorithm="espm"`` finds phases under the physical model of the metadata [1]_;
        the arguments below are for it. Every other algorithm goes to eXSpy and HyperSpy
        with all its arguments as they are; its results replace the phases, which
        `quantify` then no longer knows.

        Parameters
        ----------
        *args
            Positional arguments of eXSpy; none with ``algorithm="espm"``.
        algorithm
            "espm", or any of HyperSpy's.
        output_dimension
            Number of phases, those that are known among them.
        sparsity
            Strength of ``sum(log(1 + share / 0.01))`` over phases and pixels, the share
            being that of the phase in the counts of the pixel. It says that a pixel
            holds few phases. Where pixels or bins have n < 300 counts, sqrt(n / 300) of
            it acts. None stands for the usual strength, 1, or for 0 where the
            components are elements. "auto" takes another strength if held-out counts
            are predicted better by it, which is a check: how far phases are mixed does
            not show in them.
        smoothness
            Strength of the penalty on differences between neighbouring pixels. It acts
            on the maps of the phases, which are found without it. "auto" holds a fifth
            of the counts out and takes for each phase the strength with which maps of
            the others predict them best; 0 leaves every pixel to itself. A list holds a
            number for each phase, as ``s.analysis_results().smoothness`` does.
        simplex
            What adds up to 1: the fractions of the "elements" in each phase, the
            "abundances" of each pixel (for a sample of even thickness), or, with None,
            neither.
        calibration
            "auto" compares the model with the summed spectrum and, where it does not
            fit, refines the end of the noise peak, offset, gain, peak width and
            low-energy shift in the model alone, as far as the likelihood pays for it;
            "never" takes them as the metadata have them. Axis and metadata stay as they
            are, see `refine_calibration`.
        known_phases
            What is known: name or number of a phase -> any of

            - ``"absent"``: list of elements that it does not have, also stray ones;
            - ``"composition"``: {element: atomic fraction} to keep; what is missing to
              1 is left to the other elements;
            - ``"ratio"``: such as ``{"Fe/O": 3 / 4}``, ratio of their atoms;
            - ``"spectrum"``: signal or array over the channels of the map, of which the
              composition is that of the phase;
            - ``"map"``: boolean image or array, of the shape of ``s.data`` without the
              energy axis, True where the phase may be; or a ROI of HyperSpy.

            For example ``{"core": {"composition": {"Fe": 0.16, "Pt": 0.84}}}``. Phases
            that are named get the lowest numbers, in the order given; the others are
            found freely. ``{"anorthite": "from database"}`` takes what is known of a
            compound from the table of the package, see `identify_phases`. "elements"
            makes a component of each element and one of the background: maps of
            elements instead of phases.
        fixed_composition
            Phase number -> {element: atomic fraction} to keep, for example
            ``{0: {"Si": 0.0}, 2: {"Fe": 0.16, "Pt": 0.84}}``: the same as
            ``"composition"`` in ``known_phases``.
        solver
            "newton" for Newton's method, "mu" for multiplicative updates; "auto" takes
            the first without penalties and the second with them, as it keeps to the
            optimum near the start.
        binning
            The phases are found in the sums of so many pixels along each axis, and
            mapped in full resolution: noise of the maps then is not mistaken for
            differences of the phases. "auto" bins until there are 300 counts in a
            pixel, down to 256 pixels, and goes on from what makes the counts of all
            pixels most probable where these are few or bins mix what pixels show apart;
            1 does not bin. What `estimate_binning` finds is for maps that you bin, not
            for this.
        init
            The start is "nndsvd", "pure", "clusters", "random", or arrays ``(W, H)``,
            either of which may be None; "previous" goes on from the phases of the last
            decomposition, also one that was loaded, of which the map was a part, or
            that had other elements.
        n_init
            Number of starts, the best of which is kept: "nndsvd", "pure", "clusters",
            and random ones by turns. Where fewer than three quarters of them agree, the
            search looks further.
        max_iter
            Largest number of iterations of each start.
        tol
            A start ends when the objective, which is in nats, is expected to fall by
            less than ``tol`` for each free number of the model.
        random_state
            Seed, or a `numpy.random.Generator`.
        end_members
            What phases are that no pixel shows alone: "observed" takes the outermost
            compositions that pixels show, "outside" what fits the counts beyond these.
            "auto" is the first for inclusions, which take the place of their host, and
            the second for the ends of solid solutions, where pixels show all
            compositions in between.
        separation
            Whether films, hosts and inclusions are taken out of phases that contain
            them, where the counts permit it. The text after the fit says what was done.
        local_absorption
            Whether the sample absorbs in each place by the mixture and the mass
            thickness that are there, for wedges and dense particles. Otherwise each
            phase absorbs as a film of itself, everywhere of the thickness that was set.
            That is then the mean over the map, without holes; the maps tell where there
            is more or less. "auto" asks the counts, if thickness and density are
            stated, and says so if they prefer it.
        n_jobs
            Number of threads, -1 for all cores. Results do not depend on it.
        show_progressbar
            Whether progress is shown; None for HyperSpy's preference.
        navigation_mask
            Boolean array or signal, True where pixels are left out, in HyperSpy's
            conventions, or a ROI of HyperSpy around these; a number is eXSpy's
            threshold of vacuum. None uses all pixels;
            other algorithms take eXSpy's default, 1.0, if it is not given.
        signal_mask
            Boolean array or signal, True where channels are left out, or a
            `hyperspy.api.roi.SpanROI` over these. Channels below
            0.15 keV and above the beam energy always are.
        return_info
            Whether to return the `espm_hs.analysis.PhaseAnalysis`.
        print_info
            Whether to print a summary, with what was refined of the energy scale.
        normalize_poissonian_noise
            Has no effect on "espm": Poisson noise is part of the model.
        **kwargs
            What the signature names after these, and all else that eXSpy and HyperSpy
            take for their algorithms; "espm" takes none of it.

        Returns
        -------
        espm_hs.analysis.PhaseAnalysis or None
            The phases, if ``return_info``, else None.

        Raises
        ------
        ValueError, TypeError
            If something is missing or makes no sense, or there are no counts; signal
            and metadata are then as they were.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If the iterations ended before ``tol`` was met.
        UserWarning
            If the energy scale drifts during the scan, the data are scaled counts, or
            the beam energy is that of a bulk sample.
        espm_hs.PhaseWarning
            If phases are empty, the same or not well known, or the search chose among
            answers that the counts allow; one sentence.

        Notes
        -----
        ``learning_results.factors`` holds the spectra of the phases and ``loadings``
        their maps: counts per pixel and spectra of sum 1, or, with
        ``simplex="abundances"``, shares and the spectra of pure pixels.

        References
        ----------
        .. [1] A. Teurtrie et al., Mach. Learn.: Sci. Technol. 5 (2024),
           doi:10.1088/2632-2153/ad9192
        """
        check_flag("local_absorption", local_absorption, auto=True)
        self._check_not_empty()
        options = DecompositionOptions(
            known_phases=known_phases and arrays_of(self, known_phases),
            fixed_composition=fixed_composition,
            simplex=simplex,
            sparsity=sparsity,
            smoothness=smoothness,
            binning=binning,
            pixel_size=pixel_size(self),
            solver=solver,
            n_init=n_init,
            max_iter=max_iter,
            tol=tol,
            random_state=random_state,
            end_members=end_members,
            separation=separation,
            local=local_absorption,
            n_jobs=n_jobs,
        )
        refinement = self._refinement(calibration)
        model = self._model_to_fit(refinement, print_info)
        pixels = channels = None
        if navigation_mask is not None:
            pixels = used_pixels(self, navigation_mask)
        if signal_mask is not None:
            channels = used_channels(self, signal_mask)
        start, before = init, None
        if isinstance(init, str) and init == "previous":
            before = self.analysis_results()
            output_dimension, start = self._previous_start(
                before, output_dimension, model, pixels
            )
            options = replace(options, names=before.knowledge.names)
        try:
            with shown_progress(show_progressbar, "espm"):
                found = decompose(
                    self.data,
                    model,
                    output_dimension,
                    options,
                    pixels=pixels,
                    channels=channels,
                    refinement=refinement,
                    init=start,
                )
        except NoCounts as error:
            message = str(error).removesuffix(".")
            raise NoCounts(f"{message}{of_file(self.metadata)}") from None
        if before is not None and before.edits:
            found = replace(found, edits=(*before.edits, "fitted again"))
        named = {"init": init, "calibration": calibration}
        self._store(found, pixels, {**vars(options), **named})
        if not found.converged and not found.interrupted:
            warn_unconverged(found.n_iter, max_iter, tol, stacklevel=3)
        self._tell(found, model, print_info)
        return found if return_info else None

    def _tell(self, found: PhaseAnalysis, model: LinearModel, print_info: bool) -> None:
        """Warn of what users of a new result must know, and print what they asked for.

        The place of a warning is the call of `decomposition`.
        """
        here = 4
        if changes := found.calibration:
            for line in drift_text(changes):
                warnings.warn(line, UserWarning, stacklevel=here)
            for line in calibration_text(changes) if print_info else ():
                print(line)
        mixing = mixing_text(model, self.axes_manager.navigation_axes)
        for line in (*scale_text(found), *film_text(model), *mixing):
            warnings.warn(line, UserWarning, stacklevel=here)
        wrong = contradicted_names(found, self.data, self._kept_loadings(found))
        for line in filter(None, (found.warning, *wrong)):
            warnings.warn(line, PhaseWarning, stacklevel=here)
        if print_info:
            print(found)
            if program := guessed_by("elements", *self._trees):
                print(f"  elements: a guess of {program}, ask s.identify_elements()")
            if model.depends_on_composition:
                self._print_elevation()

    @property
    def _trees(self) -> tuple[Any, Any]:
        """Metadata of the signal and of its file."""
        return self.metadata, self.original_metadata

    def _check_not_empty(self) -> None:
        """Raise ValueError for a signal that a reader left without any data."""
        if self.data.size == 0:
            raise NoCounts(
                f"The signal is empty, of shape {self.data.shape}: there is nothing to "
                f"decompose{of_file(self.metadata)}"
            )

    def _print_elevation(self) -> None:
        """Say where the position of the detector comes from, if not from metadata."""
        angle, program = stated(
            "elevation_angle", self.metadata, self.original_metadata
        )
        if program:
            print(
                f"  elevation of the detector={angle:g} degrees, from the header of "
                f"{program}"
            )

    def _previous_start(
        self,
        found: PhaseAnalysis,
        n_phases: int | None,
        model: LinearModel,
        pixels: np.ndarray | None,
    ) -> tuple[int, tuple]:
        """Return the number of phases and the start of a fit that goes on."""
        if n_phases not in (None, found.n_phases):
            raise ValueError(
                f"`output_dimension` is {n_phases}, but the previous decomposition has "
                f"{found.n_phases} phases: leave it out, or choose another `init`."
            )
        try:
            loadings = self._loadings(found)
        except RuntimeError:  # a part of the map knows the phases only
            loadings = None
        if loadings is not None and pixels is not None:
            loadings = loadings[pixels]
        return found.n_phases, previous_start(found, model, loadings)

    def _store(
        self, found: PhaseAnalysis, pixels: np.ndarray | None, options: Mapping
    ) -> None:
        """Keep factors and loadings as HyperSpy does, and the rest in metadata."""
        options = {name: x for name, x in options.items() if name not in NOT_STORED}
        with AllOrNothing(self):
            self._write(found, pixels, provenance(options))

    def _write(
        self, found: PhaseAnalysis, pixels: np.ndarray | None, record: Mapping
    ) -> None:
        """Write a result with its loadings, and the record of how it was made."""
        navigation = self.data.shape[:-1]
        results = Learned(
            found.spectra,
            found.loadings,
            "espm",
            found.n_phases,
            navigation_mask=None if pixels is None else ~pixels.reshape(navigation),
            signal_mask=None if found.channels.all() else ~found.channels,
        )
        maps = keep(self, results)
        stored = found.to_dict() | dict(record) | maps
        write_parameters(self.metadata, {RESULTS: stored})

    def _replace(self, found: PhaseAnalysis) -> None:
        """Put an edited result in the place of the one before, maps included."""
        with AllOrNothing(self):
            record = {n: x for n, x in self._results().items() if n in RECORD}
            self._put_result(found, record)

    def _put_result(self, found: PhaseAnalysis, record: Mapping) -> None:
        """Write a result with its record, and with its maps if it has them."""
        if found.loadings is None:  # a part of the map knows the phases only
            stored = found.to_dict() | dict(record)
            write_parameters(self.metadata, {RESULTS: stored})
            return
        used = ~np.isnan(found.loadings).any(axis=1)
        self._write(found, None if used.all() else used, record)


def pixel_size(signal: EDSSpectrum, but: int | None = None) -> tuple[float, ...] | None:
    """Step of each navigation axis, in array order; None where they do not compare.

    ``but``: number of an axis in the array that is left out.
    """
    axes = signal.axes_manager.navigation_axes[::-1]
    axes = [axis for axis in axes if axis.index_in_array != but]
    steps = tuple(float(getattr(axis, "scale", 0.0)) for axis in axes)
    same_unit = len({str(axis.units) for axis in axes}) == 1
    return steps if same_unit and all(steps) else None
