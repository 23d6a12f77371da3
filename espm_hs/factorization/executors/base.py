"""What an executor must do: run the kernels over all counts, wherever these are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from espm_hs.factorization.problem import Problem


class Executor(ABC):
    """Passes over all counts, as a context manager.

    Sums over the pixels are formed block by block in a fixed order: the results have
    the same bits for any number of workers.

    The abundances H are what `hold` returns, and are changed in place: on threads the
    array itself, of shape (n_pixels, n_components); on a cluster a `Scattered` array,
    of which each worker holds the rows of its own pixels. Both can be multiplied,
    divided and summed over the pixels. V (n_columns, n_components) are the free
    variables of W, always an array.

    Parameters
    ----------
    counts
        The data, n_pixels x n_channels.
    problem
        G, constraints and penalties.
    mean_counts
        Mean counts per pixel of the map that the pixels are part of, from which every
        scale follows; None: those of ``counts``.

    Attributes
    ----------
    n_passes : int
        Passes over the counts so far.
    on_simplex : bool
        Whether the abundances of a pixel sum to 1.
    grid : Grid or None
        Neighbours that are tied: pixels are then visited in two colours.
    """

    def __init__(self, counts: Any, problem: Problem, mean_counts: float | None = None):
        self.counts, self.problem = counts, problem
        self.mean_counts = mean_counts or max(counts.mean_counts, 1e-300)
        self.on_simplex = problem.simplex == "abundances"
        self.grid = problem.tied
        self.n_passes = 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    @abstractmethod
    def hold(self, H: Any) -> Any:
        """Return abundances where they can be worked on."""

    @abstractmethod
    def run(
        self,
        V: np.ndarray,
        H: Any,
        *,
        n_steps: int = 1,
        step_tol: float = 0.0,
        with_A: bool = True,
        with_loss: bool = False,
    ) -> tuple[np.ndarray, float]:
        """Update H in place ``n_steps`` times; return A and F where asked for.

        A (n_channels, n_components) sums (x / y) h over the pixels. F is that of the V
        given and the H left behind; NaN unless ``with_loss``.
        """

    @abstractmethod
    def solve_pixels(
        self,
        V: np.ndarray,
        H: Any,
        *,
        with_curvature: bool = False,
        n_steps: int = 50,
    ) -> tuple[np.ndarray, float, np.ndarray | None]:
        """Solve every pixel for H in place; return A, F and S.

        S (n_channels, k (k + 1) / 2) sums x / y**2 h_i h_j over the pixels, for
        i >= j; None unless ``with_curvature``. All penalties must be ``of_shares``.
        """

    @abstractmethod
    def smooth_pixels(self, V: np.ndarray, H: Any, *, with_loss: bool = False) -> float:
        """Take a Newton step in every pixel, in place; return F as `run` does."""

    @abstractmethod
    def curvature(
        self, V: np.ndarray, H: Any, dV: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Change of A and of the sum of H with V, H following as a minimum."""
