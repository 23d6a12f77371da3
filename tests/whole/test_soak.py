"""An hour of random problems: every result right, memory and handles as at the start.

    make soak

prints a line each minute. ESPM_HS_SOAK_MINUTES sets how long it takes; a sixth of it is
spent first on compiling kernels and filling caches, and not compared.
"""

import gc
import itertools
import os
import time
import traceback
import warnings
from types import SimpleNamespace

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import psutil
import pytest
from conftest import FORMATS, make_map
from extremes import (
    CHOICES,
    any_options,
    check_abundances,
    check_composition,
    check_errors,
    check_estimator,
    check_falls,
    check_fit,
    check_maps,
    check_objective,
    draw,
)

from espm_hs.factorization import Counts, factorize

MINUTES = float(os.environ.get("ESPM_HS_SOAK_MINUTES", "60"))
# What is not called growth, in bytes: the allocator keeps some.
FLAT = 32 << 20


def fit(rng, folder):
    """A fit, maps and errors, all of them at the edges of what is possible."""
    case = draw(**any_options(rng))
    if case is not None:
        found = check_fit(case)
        check_maps(case, found.W)
        if case.problem.G is not None:
            check_errors(case, found.W, found.H)


def estimator(rng, folder):
    """The estimator on another such problem."""
    case = draw(**(any_options(rng) | {"support": None}))
    if case is not None:
        check_estimator(case)


def interrupted(rng, folder):
    """A fit that is stopped somewhere holds all that is asked of a finished one."""
    case = draw(**any_options(rng))
    if case is None:
        return
    stop = rng.integers(1, 60)

    def callback(n_iter, F):
        if n_iter >= stop:
            raise KeyboardInterrupt

    options = {"check_every": 2, "n_init": int(rng.integers(1, 4)), "max_iter": 80}
    found = factorize(
        case.counts,
        case.problem,
        solver=case.options.solver,
        init=case.init,
        tol=0,
        random_state=case.options.seed,
        n_jobs=2,
        callback=callback,
        **options,
    )
    check_composition(case, found.W)
    check_abundances(case, found.H)
    check_falls(case, found.history)
    check_objective(case, found.W, found.H, found.objective)


def signal(rng, folder):
    """A map, lazy or not, through decomposition, quantification, save and load."""
    shape = [(9, 7), (12, 10), (1, 20), (30,)][rng.integers(4)]
    dose = float(rng.choice([5.0, 50.0, 500.0, 20_000.0]))
    s = make_map(shape, dose, seed=int(rng.integers(1000)))
    if rng.random() < 0.5:
        s = s.as_lazy()
    choose = {
        "output_dimension": [1, 2, 3],
        "sparsity": [0.0, 1.0],
        "smoothness": [0.0, 5.0, "auto"],
        "simplex": ["elements", "abundances", None],
        "solver": ["auto", "newton"],
        "binning": ["auto", 1, 2],
        "n_init": [1, 3],
        "n_jobs": [1, 2],
    }
    options = {name: some[rng.integers(len(some))] for name, some in choose.items()}
    if options["simplex"] == "abundances":
        options["binning"] = "auto"
    if rng.random() < 0.3:
        options["navigation_mask"] = rng.random(shape[::-1]) < 0.2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The fit did not converge")
        warnings.filterwarnings("error", category=RuntimeWarning)
        s.decomposition(algorithm="espm", max_iter=40, print_info=False, **options)
    percent = s.quantify()
    total = sum(one.data for one in percent)
    np.testing.assert_allclose(total[np.isfinite(total)], 100)
    path = folder / f"map.{FORMATS[rng.integers(len(FORMATS))]}"
    s.save(path, overwrite=True)
    loaded = hs.load(path)
    for one, other in zip(percent, loaded.quantify(), strict=True):
        np.testing.assert_array_equal(one.data, other.data)
    if rng.random() < 0.1:
        s.plot_phases()
        plt.close("all")


# How often each is done.
JOBS = {fit: 10, estimator: 5, interrupted: 5, signal: 1}


def compile_kernels():
    """Call each kernel with each number of components and each type of counts."""
    usual = {name: some[0] for name, some in CHOICES.items()}
    usual |= {"shape": (4, 3), "n_channels": 30, "scale": 1.0, "init": "random"}
    vary = {
        "k": CHOICES["k"],
        "dtype": ["u1", "u2", "u4", "f8"],
        "dose": [20.0, 3000.0],
        "sparsity": [0.0, 1.0],
        "smoothness": [0.0, 3.0],
        "solver": ["mu", "newton"],
    }
    widest = {"u1": 255, "u2": 1e4, "u4": 1e6, "f8": 0.3}
    for values in itertools.product(*vary.values()):
        o = usual | dict(zip(vary, values, strict=True))
        # values that no smaller type could hold
        case = draw(**(o | {"dtype": "f8"}))
        X = case.X * (widest[o["dtype"]] / case.X.max())
        case.X = X if o["dtype"] == "f8" else np.rint(X)
        case.counts = Counts.from_array(case.X)
        found = check_fit(case)
        check_maps(case, found.W)
        check_errors(case, found.W, found.H)


def state(process):
    """Memory, files, threads in use."""
    gc.collect()
    return SimpleNamespace(
        memory=process.memory_info().rss,
        files=process.num_fds(),
        threads=process.num_threads(),
    )


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(psutil.Process, "num_fds"), reason="counts descriptors")
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_soak(tmp_path, capsys):
    jobs = [job for job, n in JOBS.items() for _ in range(n)]
    done = dict.fromkeys(JOBS, 0)
    process, states, failures, seed = psutil.Process(), [], [], 0
    start = time.monotonic()
    compile_kernels()
    while (minutes := (time.monotonic() - start) / 60) < MINUTES:
        job = jobs[seed % len(jobs)]
        try:
            job(np.random.default_rng(seed), tmp_path)
        except Exception:  # goes on: what comes later is worth to be seen, too
            failures.append(f"{job.__name__}, seed {seed}\n{traceback.format_exc()}")
            with capsys.disabled():
                print(failures[-1])
        done[job] += 1
        seed += 1
        if minutes >= len(states) * MINUTES / 60:
            # one for each minute, those of the compilation as well
            now = state(process)
            while minutes >= len(states) * MINUTES / 60:
                states.append(now)
            counted = ", ".join(f"{n} {job.__name__}" for job, n in done.items())
            with capsys.disabled():
                print(
                    f"{minutes:5.1f} min: {counted}; {len(failures)} failures; "
                    f"{now.memory / 2**20:.0f} MB, {now.files} files, "
                    f"{now.threads} threads",
                    flush=True,
                )
    compared = states[len(states) // 6 :]
    third = max(1, len(compared) // 3)

    def grown(name):
        values = [getattr(one, name) for one in compared]
        return np.median(values[-third:]) - np.median(values[:third])

    with capsys.disabled():
        print(
            f"{seed} problems in {minutes:.0f} minutes, {len(failures)} failures; "
            f"memory after the warm-up {compared[0].memory / 2**20:.0f} MB, grown by "
            f"{grown('memory') / 2**20:+.1f} MB, files by {grown('files'):+.0f}, "
            f"threads by {grown('threads'):+.0f}"
        )
    assert not failures
    assert grown("memory") < FLAT
    assert grown("files") <= 0
    assert grown("threads") <= 0
