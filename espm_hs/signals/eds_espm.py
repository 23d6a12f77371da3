"""The signal classes: HyperSpy's and eXSpy's interface to the analysis."""

from __future__ import annotations

import inspect
import warnings

import hyperspy.api as hs
import numpy as np
from exspy.signals import EDSTEMSpectrum
from hyperspy.external.progressbar import progressbar
from sklearn.exceptions import ConvergenceWarning

from espm_hs import simulation
from espm_hs.arguments import check_number
from espm_hs.decomposition.decompose import decompose
from espm_hs.decomposition.prior_knowledge import are_elements
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.decomposition.starts import previous_start
from espm_hs.metadata.provenance import provenance
from espm_hs.metadata.reader import item
from espm_hs.metadata.schema import ITEMS, RESULTS
from espm_hs.metadata.transaction import AllOrNothing
from espm_hs.metadata.writer import remove, write_parameters
from espm_hs.signals._areal_density import Amounts
from espm_hs.signals._masks import arrays_of, used_channels, used_pixels
from espm_hs.signals._model_map import ModelOfMap
from espm_hs.signals._model_selection import ModelSelection
from espm_hs.signals._plotting import Figures
from espm_hs.signals._preparation import Preparation
from espm_hs.signals._quantification import Quantification

__all__ = ["EDSespmSpectrum"]


class EDSespmSpectrum(
    Preparation,
    ModelSelection,
    Quantification,
    Amounts,
    ModelOfMap,
    Figures,
    EDSTEMSpectrum,
):
    """EDS spectra from an electron microscope, to be decomposed with physics.

    Everything that `exspy.signals.EDSTEMSpectrum` offers, and
    ``decomposition(algorithm="espm")``, which finds phases whose spectra obey the
    X-ray physics that the metadata describe, and `quantify`, which tells what the
    phases are made of.
    """

    _signal_type = "EDS_espm"

    def _set_default_param(self):
        super()._set_default_param()
        # eXSpy writes its own type here at every construction
        self.metadata.Signal.signal_type = self._signal_type

    def _get_line_energy(self, Xray_line, FWHM_MnKa=None):
        # eXSpy looks the resolution up for its own signal types only
        if isinstance(FWHM_MnKa, str) and FWHM_MnKa == "auto":
            FWHM_MnKa = item(self.metadata, ITEMS["energy_resolution_MnKa"].path)
        return super()._get_line_energy(Xray_line, FWHM_MnKa)

    def decomposition(self, *args, algorithm="SVD", **kwargs):
        """Decompose the map into components.

        ``algorithm="espm"`` finds phases under the physical model of the metadata [1]_;
        the arguments below are for it. Every other algorithm goes to eXSpy and HyperSpy
        with all its arguments as they are; its results replace the phases, which
        `quantify` then no longer knows.

        Parameters
        ----------
        algorithm : str or object
            "espm", or any of HyperSpy's.
        output_dimension : int
            Number of phases, those that are known among them.
        sparsity : float or "auto", default 1.0
            Strength of ``sum(log(1 + share / 0.01))`` over phases and pixels, the share
            being that of the phase in the counts of the pixel: says that a pixel
            holds few phases. 0 by default where the components are elements. "auto"
            takes another strength if counts that are set aside are predicted better by
            it: a check, as how far phases are mixed does not show in them.
        smoothness : float or "auto", default "auto"
            Strength of the penalty on differences between neighbouring pixels. It acts
            on the maps of the phases, which are found without it. "auto" sets a fifth
            of the counts aside and takes for each phase the strength with which maps of
            the others predict them best; 0 leaves every pixel to itself. Also a list, a
            number for each phase, as ``s.analysis_results().smoothness`` has it.
        simplex : {"elements", "abundances", None}, default "elements"
            What adds up to 1: the element fractions of each phase, or the abundances
            of each pixel (for a sample of even thickness), or neither.
        known_phases : dict or "elements"
            What is known: name or number of a phase -> any of

            - ``"absent"``: list of elements that it does not have, also stray ones;
            - ``"composition"``: {element: atomic fraction} to keep; what is missing to
              1 is left to the other elements;
            - ``"ratio"``: such as ``{"Fe/O": 3 / 4}``, ratio of their atoms;
            - ``"spectrum"``: signal or array over the channels of the map, of which the
              composition is that of the phase;
            - ``"map"``: boolean image or array, of the shape of ``s.data`` without the
              energy axis, True where the phase may be.

            For example ``{"core": {"composition": {"Fe": 0.16, "Pt": 0.84}}}``. Phases
            that are named get the lowest numbers, in the order given; the others are
            found freely. "elements" makes a component of each element and one of the
            background: maps of elements instead of phases.
        fixed_composition : dict
            Phase number -> {element: atomic fraction} to keep, for example
            ``{0: {"Si": 0.0}, 2: {"Fe": 0.16, "Pt": 0.84}}``: the same as
            ``"composition"`` in ``known_phases``.
        solver : {"auto", "newton", "mu"}, default "auto"
            Newton's method, multiplicative updates, or the first without penalties
            and the second with them, as it keeps to the optimum near the start.
        binning : "auto" or int, default "auto"
            Find the phases in the sums of so many pixels along each axis, and map them
            in full resolution: noise of the maps then is not mistaken for differences
            of the phases. "auto" bins until there are 300 counts in a pixel, down to
            256 pixels; 1 does not bin. What `estimate_binning` finds is for maps that
            you bin, not for this.
        init : str or tuple, default "nndsvd"
            Start: "nndsvd", "pure", "random", or arrays ``(W, H)``, either of which
            may be None; "previous" goes on from the phases of the last decomposition,
            also one that was loaded, of which the map was a part, or that had other
            elements.
        n_init : int, default 4
            Number of starts, the best of which is kept: "nndsvd", "pure", and random
            ones.
        max_iter : int, default 1000
            Largest number of iterations of each start.
        tol : float, default 1e-4
            A start ends when the objective, which is in nats, is expected to fall by
            less than ``tol`` for each free number of the model.
        random_state : int or numpy.random.Generator, default 0
            Seed.
        n_jobs : int, default -1
            Number of threads, -1 for all cores. Results do not depend on it.
        show_progressbar : bool
            None for HyperSpy's preference.
        navigation_mask : bool array or signal or float
            True where pixels are left out, in HyperSpy's conventions; a number is
            eXSpy's threshold of vacuum. None uses all pixels.
        signal_mask : bool array or signal
            True where channels are left out. Channels below 0.15 keV and above the
            beam energy always are.
        normalize_poissonian_noise : bool
            Has no effect: Poisson noise is part of the model.
        return_info : bool, default False
            Return the `espm_hs.analysis.PhaseAnalysis`.
        print_info : bool, default True
            Print a summary.

        Returns
        -------
        espm_hs.analysis.PhaseAnalysis or None
            If ``return_info``, else None.

        Raises
        ------
        ValueError, TypeError
            If something is missing or makes no sense; signal and metadata are then as
            they were.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If the iterations ended before ``tol`` was met.

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
        if isinstance(algorithm, str) and algorithm == "espm":
            if args:
                raise TypeError(
                    "With algorithm='espm' all arguments are given by name, for "
                    "example `s.decomposition(algorithm='espm', output_dimension=3)`."
                )
            _check_options(kwargs)
            return self._decompose_phases(**kwargs)
        info = super().decomposition(*args, algorithm=algorithm, **kwargs)
        # the maps of these phases are gone
        remove(self.metadata, RESULTS)
        return info

    def _decompose_phases(
        self,
        output_dimension=None,
        *,
        sparsity=None,
        smoothness="auto",
        simplex="elements",
        known_phases=None,
        fixed_composition=None,
        solver="auto",
        binning="auto",
        init="nndsvd",
        n_init=4,
        max_iter=1000,
        tol=1e-4,
        random_state=0,
        n_jobs=-1,
        show_progressbar=None,
        navigation_mask=None,
        signal_mask=None,
        return_info=False,
        print_info=True,
        normalize_poissonian_noise=True,
    ):
        if sparsity is None:  # there is a little of many elements in every pixel
            sparsity = 0.0 if are_elements(known_phases) else 1.0
        model = self.physical_model()
        pixels = used_pixels(self, navigation_mask)
        channels = used_channels(self, signal_mask)
        if isinstance(init, str) and init == "previous":
            output_dimension, start = self._previous_start(
                output_dimension, model, pixels
            )
        else:
            start = init
        if show_progressbar is None:
            show_progressbar = hs.preferences.General.show_progressbar
        options = {
            "sparsity": sparsity,
            "smoothness": smoothness,
            "simplex": simplex,
            "known_phases": arrays_of(self, known_phases),
            "fixed_composition": fixed_composition,
            "pixel_size": _pixel_size(self),
            "binning": binning,
            "solver": solver,
            "n_init": n_init,
            "max_iter": max_iter,
            "tol": tol,
            "random_state": random_state,
        }
        check_number("max_iter", max_iter, 1, whole=True)
        # one bar for all starts: it goes back to the beginning with each
        bar = progressbar(total=max_iter, disable=not show_progressbar, desc="espm")

        def advance(n_iter, objective):
            bar.update(n_iter - bar.n)
            bar.set_postfix(F=f"{objective:.6g}", refresh=False)

        try:
            found = decompose(
                self.data,
                model,
                output_dimension,
                pixels=pixels,
                channels=channels,
                init=start,
                n_jobs=n_jobs,
                callback=advance,
                **options,
            )
        finally:
            bar.close()
        self._store(found, pixels, options | {"init": init})
        if not found.converged and not found.interrupted:
            warnings.warn(
                f"The fit did not converge in {found.n_iter} iterations. Raise "
                f"`max_iter` (now {max_iter}) or `tol` (now {tol:g}).",
                ConvergenceWarning,
                stacklevel=3,
            )
        if print_info:
            print(found)
        return found if return_info else None

    def _previous_start(self, n_phases, model, pixels):
        """Return the number of phases and the start of a fit that goes on."""
        found = self.analysis_results()
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

    def _store(self, found: PhaseAnalysis, pixels, options) -> None:
        """Fill learning_results as HyperSpy does, and keep the rest in metadata."""
        navigation = self.data.shape[:-1]
        learned = dict(
            factors=found.spectra,
            loadings=found.loadings,
            decomposition_algorithm="espm",
            output_dimension=found.n_phases,
            poissonian_noise_normalized=False,
            explained_variance=None,
            explained_variance_ratio=None,
            number_significant_components=None,
            mean=None,
            centre=None,
            unmixing_matrix=None,
            bss_algorithm=None,
            unfolded=len(navigation) > 1,
            original_shape=np.array(self.data.shape),
            navigation_mask=None if pixels is None else ~pixels.reshape(navigation),
            signal_mask=None if found.channels.all() else ~found.channels,
        )
        stored = found.to_dict() | provenance(options)
        with AllOrNothing(self):
            vars(self.learning_results).update(learned)
            write_parameters(self.metadata, {RESULTS: stored})

    def ground_truth(self) -> simulation.GroundTruth:
        """Return what a simulated map was made from.

        Raises
        ------
        ValueError
            If the map is not a simulated one, or was cut or binned since.

        See Also
        --------
        espm_hs.simulation
        """
        return simulation.ground_truth(self)

    def get_decomposition_loadings(self):
        """Return the decomposition loadings as a signal.

        As HyperSpy does, and for a single spectrum, too.

        Returns
        -------
        hyperspy.api.signals.BaseSignal
        """
        loadings = self.learning_results.loadings
        if loadings is None or self.axes_manager.navigation_dimension > 0:
            return super().get_decomposition_loadings()
        signal = hs.signals.BaseSignal(np.ravel(loadings))
        signal.metadata.General.title = (
            f"Decomposition loadings of {self.metadata.General.title}"
        )
        return signal


def _check_options(given) -> None:
    """Raise TypeError for options that ``algorithm="espm"`` does not have."""
    known = list(inspect.signature(EDSespmSpectrum._decompose_phases).parameters)[1:]
    if unknown := [f"`{name}`" for name in given if name not in known]:
        raise TypeError(
            f"`decomposition(algorithm='espm')` does not know {', '.join(unknown)}. "
            f"Its options are {', '.join(known)}; it takes none of other algorithms."
        )


def _pixel_size(signal) -> tuple[float, ...] | None:
    """Step of each navigation axis, in array order; None where they do not compare."""
    axes = signal.axes_manager.navigation_axes[::-1]
    steps = tuple(float(getattr(axis, "scale", 0.0)) for axis in axes)
    same_unit = len({str(axis.units) for axis in axes}) == 1
    return steps if same_unit and all(steps) else None
