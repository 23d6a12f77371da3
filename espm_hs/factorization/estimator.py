"""The scikit-learn face of the factorisation."""

from __future__ import annotations

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from espm_hs.arguments import float_array
from espm_hs.factorization.counts.counts import Counts
from espm_hs.factorization.counts.grid import Grid
from espm_hs.factorization.penalties import Penalties
from espm_hs.factorization.problem import Problem
from espm_hs.factorization.solvers.maps import fit_loadings
from espm_hs.factorization.solvers.multi_start import factorize
from espm_hs.output import warn_unconverged


class EspmNMF(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Poisson non-negative matrix factorisation with a known matrix.

    Finds non-negative W and H such that the counts are Poisson distributed around
    ``H (G W)^T``. G (channels x columns) holds what is known, such as the spectrum of
    each chemical element [1]_; without it the spectra are free, and this is NMF with
    the Kullback-Leibler divergence [2]_.

    Parameters
    ----------
    n_components
        Number of components.
    G
        Known matrix, shape (n_channels, n_columns), non-negative. None: the identity.
    simplex
        "elements": the rows of W named by ``simplex_rows`` sum to 1 in each
        component. "abundances": the components of each pixel sum to 1. None: the
        components (spectra) sum to 1.
    simplex_rows
        Boolean, shape (n_columns,): rows of W that are fractions of one whole. None:
        all.
    fixed
        Shape (n_columns, n_components): fractions W must keep, NaN where it is free.
    sparsity
        Strength of ``sum(log(1 + share / 0.01)) - log(101)``, a share being the part
        that a component has in the counts of a pixel: zero for a pure pixel.
    smoothness
        Strength of ``N / 2 * sum((h_p - h_q)**2)`` over neighbouring pixels, for h in
        units of N, the mean counts per pixel. Needs ``navigation_shape``. Acts in
        ``fit`` alone: ``transform`` treats each pixel by itself.
    navigation_shape
        Shape of the map whose pixels, unfolded in C order, are the rows of X, such as
        ``(64, 64)``; ``(100,)`` for a line.
    solver
        "newton": Newton's method, each row of X solved exactly; "mu": multiplicative
        updates with extrapolation; "auto": the first without penalties, the second
        with sparsity or smoothness (which "newton" cannot handle, and takes "mu" for).
    init
        "nndsvd", "pure", "clusters", "random", or a pair of arrays (W, H), either of
        which may be None.
    n_init
        Number of starts, the best of which is kept. Starts that trail far behind the
        others are not taken to their end.
    max_iter
        Largest number of passes over the counts of a start; a multiplicative
        iteration is one.
    tol
        A start ends when the objective, which is in nats, is expected to fall by less
        than ``tol`` for each free number of the model.
    random_state
        Seed: None, an integer, or a `numpy.random.RandomState`.
    n_jobs
        Number of threads (None: 1, -1: all cores). Results do not depend on it.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_channels)
        Spectra of the components, ``(G W)^T``.
    W_ : ndarray of shape (n_columns, n_components)
        Composition of the components.
    reconstruction_err_ : float
        Objective at the end of the fit: Kullback-Leibler divergence plus penalties.
    objective_history_ : ndarray
        The objective whenever it was computed.
    n_iter_ : int
        Passes over the counts of the start that was kept.
    n_agreeing_ : int
        How many starts ended in the optimum that was kept.
    converged_ : bool
        Whether that start met ``tol``.

    References
    ----------
    .. [1] A. Teurtrie et al., "From STEM-EDXS data to phase separation and
       quantification using physics-guided NMF", Mach. Learn.: Sci. Technol. 5 (2024),
       doi:10.1088/2632-2153/ad9192
    .. [2] D. D. Lee, H. S. Seung, "Algorithms for non-negative matrix
       factorization", NIPS 13 (2001)

    Examples
    --------
    >>> import numpy as np
    >>> from espm_hs import EspmNMF
    >>> rng = np.random.default_rng(0)
    >>> spectra = rng.random((2, 50))
    >>> X = rng.poisson(rng.random((400, 2)) @ spectra)
    >>> nmf = EspmNMF(n_components=2, random_state=0)
    >>> nmf.fit_transform(X).shape, nmf.components_.shape
    ((400, 2), (2, 50))
    """

    def __init__(
        self,
        n_components: int = 2,
        G=None,
        *,
        simplex: str | None = "elements",
        simplex_rows=None,
        fixed=None,
        sparsity: float = 0.0,
        smoothness: float = 0.0,
        navigation_shape: tuple[int, ...] | None = None,
        solver: str = "auto",
        init="nndsvd",
        n_init: int = 1,
        max_iter: int = 1000,
        tol: float = 1e-4,
        random_state=None,
        n_jobs: int | None = None,
    ):
        self.n_components = n_components
        self.G = G
        self.simplex = simplex
        self.simplex_rows = simplex_rows
        self.fixed = fixed
        self.sparsity = sparsity
        self.smoothness = smoothness
        self.navigation_shape = navigation_shape
        self.solver = solver
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X, y=None):
        """Find the components of X.

        Parameters
        ----------
        X
            Counts, shape (n_pixels, n_channels), dense or sparse.
        y
            Ignored.

        Returns
        -------
        EspmNMF
            The fitted estimator.

        Raises
        ------
        ValueError
            If X has negative or non-finite entries or no counts at all, or an option
            is out of range.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If the iterations ended before ``tol`` was met.
        """
        self._fit(X)
        return self

    def fit_transform(self, X, y=None):
        """Find the components of X and return the loadings.

        Parameters
        ----------
        X
            Counts, shape (n_pixels, n_channels), dense or sparse.
        y
            Ignored.

        Returns
        -------
        numpy.ndarray
            Loadings, shape (n_pixels, n_components).
        """
        counts, found = self._fit(X)
        if self.smoothness > 0:
            return found.H
        return self._loadings(counts)

    def transform(self, X):
        """Return the loadings of X on the components found.

        Parameters
        ----------
        X
            Counts, shape (n_pixels, n_channels), dense or sparse.

        Returns
        -------
        numpy.ndarray
            Loadings, shape (n_pixels, n_components).
        """
        check_is_fitted(self)
        return self._loadings(self._counts(X, reset=False))

    def inverse_transform(self, X):
        """Return the model of the counts, ``loadings @ components_``.

        Parameters
        ----------
        X
            Loadings, shape (n_pixels, n_components).

        Returns
        -------
        numpy.ndarray
            Expected counts, shape (n_pixels, n_channels).
        """
        check_is_fitted(self)
        X, k = check_array(X), len(self.components_)
        if X.shape[1] != k:
            raise ValueError(
                f"X has {X.shape[1]} columns; needed are the loadings of {k} "
                "components."
            )
        return X @ self.components_

    def _counts(self, X, reset):
        X = validate_data(
            self, X, reset=reset, accept_sparse="csr", ensure_non_negative=True
        )
        return Counts.from_array(X)

    def _problem(self, n_channels, n_pixels):
        k = self.n_components
        if not isinstance(k, (int, np.integer)) or isinstance(k, bool) or k < 1:
            raise ValueError(f"`n_components` must be an integer >= 1, got {k!r}.")
        grid = None
        if self.navigation_shape is not None:
            grid = Grid.from_shape(_map_shape(self.navigation_shape, n_pixels))
        G = None if self.G is None else float_array("G", self.G)
        columns = (n_channels,) if G is None else G.shape[-1:]
        return Problem(
            n_channels,
            k,
            G=G,
            simplex=self.simplex,
            simplex_rows=_rows(self.simplex_rows, columns),
            fixed=None if self.fixed is None else float_array("fixed", self.fixed),
            penalties=Penalties(self.sparsity, self.smoothness),
            grid=grid,
        )

    def _fit(self, X):
        counts = self._counts(X, reset=True)
        problem = self._problem(counts.n_channels, counts.n_pixels)
        found = factorize(
            counts,
            problem,
            solver=self.solver,
            init=self.init,
            n_init=self.n_init,
            max_iter=self.max_iter,
            tol=self.tol,
            random_state=_generator(self.random_state),
            n_jobs=self.n_jobs,
        )
        if not found.converged and not found.interrupted:
            warn_unconverged(found.n_iter, self.max_iter, self.tol, stacklevel=3)
        # in one step: Ctrl-C leaves all of it or nothing
        self.__dict__.update(
            W_=found.W,
            components_=problem.spectra(found.W).T,
            reconstruction_err_=found.objective,
            objective_history_=found.history,
            n_iter_=found.n_iter,
            n_agreeing_=found.n_agreeing,
            converged_=found.converged,
            _problem_=problem,
            _mean_counts=counts.mean_counts,
        )
        return counts, found

    def _loadings(self, counts):
        return fit_loadings(
            counts,
            self._problem_,
            self.W_,
            mean_counts=self._mean_counts,
            n_jobs=self.n_jobs,
        )

    @property
    def _n_features_out(self):
        return self.components_.shape[0]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        return tags


def _map_shape(shape, n_pixels) -> tuple[int, ...]:
    """Check the shape of a map of so many pixels."""
    sizes = shape if isinstance(shape, (tuple, list, np.ndarray)) else ()
    whole = (isinstance(n, (int, np.integer)) and n > 0 for n in sizes)
    if not len(sizes) or not all(whole):
        raise ValueError(
            "`navigation_shape` must be a tuple of positive integers such as (64, 64), "
            f"got {shape!r}."
        )
    if np.prod(sizes) != n_pixels:
        raise ValueError(
            f"`navigation_shape` {shape} does not make the {n_pixels} rows of X."
        )
    return tuple(int(n) for n in sizes)


def _rows(simplex_rows, shape: tuple[int]) -> np.ndarray | None:
    """Check which rows of W are fractions."""
    if simplex_rows is None:
        return None
    rows = np.asarray(simplex_rows)
    if rows.dtype != bool or rows.shape != shape:
        raise ValueError(
            f"`simplex_rows` must be boolean, of shape {shape}: one for each column "
            f"of G. Got type {rows.dtype}, shape {rows.shape}."
        )
    return rows


def _generator(random_state):
    """Accept scikit-learn's kinds of seed."""
    if isinstance(random_state, np.random.RandomState):
        return random_state.randint(2**31)
    return random_state
