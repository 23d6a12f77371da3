"""One program on one map, in a process of its own: time, memory, spectra.

    python program.py TASK PROGRAM SMALL MAP RESULT K LIMIT

The maps are files of `beside_others.py`; the small one comes first, so that all is
imported and compiled, and what that takes is told as well. Programs that repeat
iterations make `ITERATIONS` of them, or, where that would take more seconds than the
limit, a few, from which the time of all follows. The interpreter may be that of an
environment without espm_hs, which has another program. Linux only.
"""

import json
import resource
import sys
import time
import warnings
from functools import partial

import numpy as np
import scipy.sparse as sp

# The default of scikit-learn, HyperSpy and espm; those that all follow from: even, as
# half of those of coordinate descent are of another kind.
ITERATIONS, MEASURED = 200, (2, 4)
# Of the counts that are held out for the number of phases: numbers, draws, share.
NUMBERS, DRAWS, HELD_OUT = range(1, 8), 4, 0.2
ODDS, FLOOR = HELD_OUT / (1 - HELD_OUT), 1e-9


class Map:
    """Counts of a file: CSR (n_pixels, channels in use), and what goes with them."""

    def __init__(self, path):
        stored = np.load(path)
        self.stored = {name: stored[name] for name in stored.files}
        parts = tuple(self.stored.pop(name) for name in ("values", "channels", "begin"))
        shape = parts[2].size - 1, len(self.stored["G"])
        self.csr = sp.csr_array(parts, shape=shape)
        self.size = round(shape[0] ** 0.5)

    def dense(self, kind, *, channels_first=False):
        """Return the table as an array of a type."""
        source = self.csr.T.tocsr() if channels_first else self.csr
        table = np.zeros(source.shape, kind)
        rows = np.repeat(np.arange(len(table)), np.diff(source.indptr))
        table[rows, source.indices] = source.data
        return table


# -- what phases are, by each program: the input, and a function that fits them --------


def espm_hs(given, k):
    """Decompose a signal of HyperSpy by defaults, and quantify its phases."""
    s = _signal(given)

    def fit():
        found = s.decomposition(
            algorithm="espm",
            output_dimension=k,
            print_info=False,
            show_progressbar=False,
            return_info=True,
        )
        s.quantify()
        return found.spectra[given.stored["used"]]

    return s.data.nbytes, fit


def _signal(given):
    from benchmarks.speed.cases import signal_of

    return signal_of(given)


def scikit_learn(given, k):
    """Lower the Kullback-Leibler divergence by multiplicative updates, CSR."""
    X = given.csr.astype(np.float64)
    return _bytes(X), lambda n: _nmf(k, n, 0).fit(X).components_.T


def _nmf(k, n_iter, seed):
    from sklearn.decomposition import NMF

    options = {"init": "random", "solver": "mu", "beta_loss": 1, "tol": 0}
    return NMF(k, max_iter=n_iter, random_state=seed, **options)


def _bytes(X):
    return X.data.nbytes + X.indices.nbytes + X.indptr.nbytes


def coordinate_descent(given, k):
    """Raise the Poisson likelihood by coordinates, with extrapolation, CSR."""
    from benchmarks.speed.coordinate_descent import factorize

    X = given.csr.astype(np.float64)
    return _bytes(X), lambda n: factorize(X, k, n)[0]


def hyperspy(algorithm, **fixed):
    """Return HyperSpy on counts scaled for Poisson noise, of single precision."""

    def program(given, k):
        s = _floats(given)

        def fit(n=None):
            options = {} if n is None else {"max_iter": n}
            s.decomposition(
                normalize_poissonian_noise=True,
                algorithm=algorithm,
                output_dimension=k,
                print_info=False,
                **fixed,
                **options,
            )
            return s.learning_results.factors

        return s.data.nbytes, fit

    return program


def _floats(given):
    import hyperspy.api as hs

    shape = given.size, given.size, -1
    return hs.signals.Signal1D(given.dense(np.float32).reshape(shape))


def espm(given, k):
    """Run the estimator of espm 1.1.3 with the G of espm_hs."""
    from espm.estimators import SmoothNMF

    X = given.dense(np.float64, channels_first=True)
    options = {"G": given.stored["G"], "shape_2d": (given.size, given.size)}

    def fit(n):
        model = SmoothNMF(
            n_components=k,
            max_iter=n,
            no_stop_criterion=True,
            verbose=0,
            random_state=0,
            **options,
        )
        model.fit_transform(X)
        return model.G_ @ model.W_

    return X.nbytes, fit


# -- how many phases there are ---------------------------------------------------------


def number_espm_hs(given, k):
    """Estimate the number of phases by defaults."""
    s = _signal(given)
    return s.data.nbytes, partial(s.estimate_number_of_phases, show_progressbar=False)


def number_scikit_learn(given, k):
    """Find the smallest number that predicts held-out counts within an error."""
    X = given.csr.astype(np.int64)

    def fit():
        rng = np.random.default_rng(0)
        losses = np.empty((DRAWS, len(NUMBERS)))
        for draw in range(DRAWS):
            held, kept = X.copy(), X.astype(np.float64)
            held.data = rng.binomial(X.data, HELD_OUT)
            kept.data -= held.data
            for one in (held, kept):
                one.eliminate_zeros()
            for place, n in enumerate(NUMBERS):
                model = _nmf(n, ITERATIONS, draw)
                H, D = model.fit_transform(kept), model.components_
                losses[draw, place] = _prediction(held, H * ODDS, D)
        worse = losses - losses[:, [losses.mean(axis=0).argmin()]]
        error = worse.std(axis=0, ddof=1) / DRAWS**0.5
        return NUMBERS[int(np.argmax(worse.mean(axis=0) <= error))]

    return _bytes(X), fit


def _prediction(held, H, D):
    """Return F of counts under a model that is nowhere quite zero."""
    rows, channels = held.nonzero()
    y = (H[rows] * D[:, channels].T).sum(axis=1) + FLOOR
    return H.sum(axis=0) @ D.sum(axis=1) - held.data @ np.log(y)


def number_hyperspy(given, k):
    """Find the elbow of the variances of principal components."""
    s = _floats(given)

    def fit():
        s.decomposition(normalize_poissonian_noise=True, print_info=False)
        # counted from 0
        return int(s.estimate_elbow_position()) + 1

    return s.data.nbytes, fit


# Name -> input and fit.
PHASES = {
    "espm_hs": espm_hs,
    "scikit-learn, KL, CSR": scikit_learn,
    "coordinate descent, CSR": coordinate_descent,
    "HyperSpy, PCA": hyperspy("SVD"),
    "HyperSpy, NMF": hyperspy("NMF", tol=0),
    "espm 1.1.3": espm,
}
NUMBER = {
    "espm_hs": number_espm_hs,
    "scikit-learn, held-out counts": number_scikit_learn,
    "HyperSpy, elbow of PCA": number_hyperspy,
}
# Those that repeat iterations.
ITERATE = {
    "scikit-learn, KL, CSR",
    "coordinate descent, CSR",
    "HyperSpy, NMF",
    "espm 1.1.3",
}
# Those that hold all channels of all pixels as floats.
DENSE = {"HyperSpy, PCA", "HyperSpy, NMF", "espm 1.1.3", "HyperSpy, elbow of PCA"}


# -- measured ------------------------------------------------------------------------


def timed(fit):
    """Return what a function returns, and the CPU seconds of all threads."""
    cpu = time.process_time()
    found = fit()
    return found, time.process_time() - cpu


def all_iterations(fit, limit):
    """Return what is found, CPU seconds and how many iterations were made."""
    few, many = (timed(partial(fit, n))[1] for n in MEASURED)
    part = (ITERATIONS - MEASURED[0]) / (MEASURED[1] - MEASURED[0])
    cpu = few + part * (many - few)
    if cpu > limit:
        return None, cpu, MEASURED[1]
    return *timed(partial(fit, ITERATIONS)), ITERATIONS


def resident():
    """Resident memory now, MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def peak():
    """Largest resident memory since `forget_peak`, MB."""
    with open("/proc/self/status") as file:
        high = next(line for line in file if line.startswith("VmHWM"))
    return int(high.split()[1]) / 1024


def forget_peak():
    """Let `peak` begin anew."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def main(task, name, small, large, result, k, limit):
    """Measure a program; what is found goes to a file, the numbers to the output."""
    program, iterates = (
        {"phases": PHASES, "number": NUMBER}[task][name],
        name in ITERATE,
    )
    _, fit = program(Map(small), int(k))
    fit(ITERATIONS) if iterates else fit()
    told = {"first": time.process_time()}
    del fit
    before, given = resident(), Map(large)
    n_bytes, fit = program(given, int(k))
    # what is needed to make the input is not the program's
    given.csr = None
    forget_peak()
    if iterates:
        found, cpu, made = all_iterations(fit, float(limit))
    else:
        (found, cpu), made = timed(fit), None
    told |= {"cpu": cpu, "made": made}
    told |= {"input": n_bytes / 2**20, "memory": peak() - before}
    np.savez(result, found=np.nan if found is None else found)
    print(f"\n{json.dumps(told)}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(*sys.argv[1:])
