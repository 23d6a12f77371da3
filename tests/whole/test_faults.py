"""Whatever goes wrong, a signal is as it was or holds a whole result.

Faults are injected: an error is raised at the n-th event of the interpreter (a call or
a return of a function, in Python or in C), for n spread over all of a call. Two thirds
of the moments are in functions of this package, from which the error must come out as
it is. The others are anywhere: another library may make an error of its own of it
(traits does), which must then name ours as its cause or context. Functions of the
standard library's threads are left out: CPython itself loses locks there. Nothing is
left to chance: the garbage collector, which would call functions at moments of its own,
rests meanwhile.

ESPM_HS_MOMENTS is how many moments each sweep has in functions of this package;
benchmarks/robustness/faults.py takes many.
"""

import contextlib
import ctypes
import gc
import inspect
import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
from functools import partial

import dask
import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
from conftest import make_map, record

from espm_hs import EspmNMF, signals
from espm_hs.cli import batch, maps
from espm_hs.cli.files import results_of
from espm_hs.factorization import Counts, Problem, divergence, factorize
from espm_hs.factorization.executors import threads
from espm_hs.factorization.solvers.newton import NewtonDescent
from espm_hs.output import finished_files

resource = pytest.importorskip("resource")
MOMENTS = int(os.environ.get("ESPM_HS_MOMENTS", "8"))
# Modules in whose functions no fault is raised.
SPARED = {"threading", "concurrent", "queue", "importlib", "weakref", "contextlib"}
QUIET = {"algorithm": "espm", "print_info": False, "show_progressbar": False}
# A fit whose objective is that of its maps.
PLAIN = {
    "sparsity": 0.0, "smoothness": 0.0, "binning": 1, "n_init": 2, "max_iter": 30
}  # fmt: skip


class Fault:
    """Raises an error at the n-th event of this thread, or of all that it starts.

    With ``ours``, only events in functions of this package are counted.
    """

    def __init__(
        self, n, error=KeyboardInterrupt, in_threads=False, lines=False, ours=False
    ):
        self.n, self.error, self.in_threads, self.ours = n, error, in_threads, ours
        self.set = sys.settrace if lines else sys.setprofile
        # what measures the coverage of tests is there before
        self.before = (sys.gettrace if lines else sys.getprofile)()
        self.count, self.where, self.raised = 0, None, None

    def __enter__(self):
        gc.disable()
        if self.in_threads:
            threading.setprofile(self)
        self.set(self)
        return self

    def __exit__(self, *_):
        self.set(self.before)
        threading.setprofile(None)
        gc.enable()

    def __call__(self, frame, event, argument):
        name = frame.f_globals.get("__name__", "")
        package = name.split(".")[0]
        spared = package in SPARED | {__name__}
        spared |= self.ours and package != "espm_hs"
        # the way out of a `with`, before which CPython lets nothing happen
        spared |= event == "c_call" and argument.__name__ == "__exit__"
        # what comes out of a `yield` here would pass by the `with` around it
        spared |= event == "return" and frame.f_code.co_flags & inspect.CO_GENERATOR
        if spared or self.where is not None:
            return self
        self.count += 1
        if self.count == self.n:
            self.where = f"{event} in {name}.{frame.f_code.co_name}:{frame.f_lineno}"
            self.raised = self.error()
            raise self.raised
        return self

    def explains(self, error) -> bool:
        """Whether what came out of a call is this fault, or what another made of it."""
        if isinstance(error, self.error):
            return True
        return not self.ours and self.raised in chain(error)


def chain(error) -> list:
    """An error, its cause or context, and so on."""
    errors = []
    while error is not None and error not in errors:
        errors.append(error)
        error = error.__cause__ or error.__context__
    return errors


def moments(action, prepare=None, n=MOMENTS, **options):
    """Numbers of events, spread over all that an action has."""
    for _ in range(2):  # the first time compiles and reads
        arguments = () if prepare is None else (prepare(),)
        with silence(), Fault(0, **options) as counter:
            action(*arguments)
    return np.unique(np.linspace(1, counter.count, n).astype(int)).tolist()


@contextlib.contextmanager
def silence():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def small_map():
    return make_map((4, 3), 200, size=300)


@pytest.fixture(scope="module")
def decomposed(small_map):
    s = small_map.deepcopy()
    decompose(s)
    return s


def decompose(s, n=2, **options):
    with silence():
        s.decomposition(output_dimension=n, **QUIET, **PLAIN | options)


def plain(value):
    """Metadata and results as nested tuples that can be compared."""
    if hasattr(value, "as_dictionary"):
        value = value.as_dictionary()
    if isinstance(value, dict):
        return {key: plain(x) for key, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(x) for x in value]
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    return value


def state(s):
    learned = {k: v for k, v in vars(s.learning_results).items() if k != "cluster"}
    axes = [axis.get_axis_dictionary() for axis in s.axes_manager._axes]
    return plain([s.metadata, s.original_metadata, learned, axes, np.asarray(s.data)])


def assert_whole(s, before):
    """Check that a result is complete, of these data, and fits together."""
    data = np.asarray(s.data)
    found, learned = s.analysis_results(), s.learning_results
    k, n_pixels = found.n_phases, data[..., 0].size
    assert learned.decomposition_algorithm == "espm"
    assert learned.output_dimension == k
    assert learned.loadings.shape == (n_pixels, k)
    np.testing.assert_array_equal(learned.factors, found.spectra)
    assert np.isfinite(learned.loadings).all()
    np.testing.assert_allclose(found.composition.sum(axis=0), 1)
    used = found.channels
    model = learned.loadings @ learned.factors[used].T
    counts = data.reshape(n_pixels, -1)[:, used]
    F = divergence(counts, model)
    assert found.objective == pytest.approx(F, rel=1e-6, abs=1e-3)
    stored = s.metadata.EDS_espm.results
    assert {"options", "versions", "model", "knowledge"} <= set(stored.keys())
    with silence():
        assert len(s.quantify("pixels")) == len(found.elements)
    # nothing else has changed
    rest = s.deepcopy()
    del rest.metadata.EDS_espm.results
    if not rest.metadata.EDS_espm.keys():
        del rest.metadata.EDS_espm
    assert state(rest)[0] == before[0]
    assert state(rest)[3:] == before[3:]


def sweep(what, start, action, check, errors, n=MOMENTS, **options):
    """Raise an error at many moments of an action on copies of a signal.

    Two thirds of the moments are in functions of this package, the others anywhere.
    """
    before, tried = state(start), 0
    raised = dict.fromkeys(errors, 0)
    for ours, some in ((True, n), (False, max(2, n // 2))):
        places = moments(action, start.deepcopy, some, ours=ours, **options)
        tried += len(places)
        for error in errors:
            for place in places:
                s = start.deepcopy()
                fault = Fault(place, error, ours=ours, **options)
                try:
                    with fault:
                        action(s)
                except BaseException as out:
                    if not fault.explains(out):
                        pytest.fail(f"{error.__name__} at {fault.where} became {out!r}")
                    raised[error] += 1
                if state(s) != before:
                    check(s, before)
    for error in errors:
        record("faults", f"{error.__name__} in {what}", tried, raised[error])
    assert all(raised.values())


def in_child(function, *args) -> int:
    """Exit code of a new process that calls a function; 1 for errors."""
    # a fork of a process with threads can lock up, and this one has some
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=_call, args=(function, *args))
    child.start()
    child.join(300)
    child.kill()
    child.join()
    return child.exitcode


def _call(function, *args):
    sys.exit(function(*args))


def in_fork(function, *args) -> int:
    """Exit code of a copy of this process, which must have no threads."""
    assert threading.active_count() == 1
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        function(*args)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


class Broken(Exception):
    """An error that nobody expects."""


# -- Ctrl-C, no memory, and whatever else --------------------------------------------


def test_first_decomposition(small_map):
    errors = (KeyboardInterrupt, MemoryError, Broken)
    sweep("decomposition", small_map, decompose, assert_whole, errors)


def test_decomposition_of_a_map_with_results(decomposed, small_map):
    def once_more(s):
        decompose(s, 3)

    def whole(s, before):
        assert s.analysis_results().n_phases == 3
        assert_whole(s, state(small_map))

    errors = (KeyboardInterrupt, MemoryError)
    sweep("decomposition of a map with results", decomposed, once_more, whole, errors)


def test_errors_in_threads(small_map):
    def on_two_threads(s):
        decompose(s, n_jobs=2)

    options = {"in_threads": True}
    errors = (MemoryError,)
    args = (small_map, on_two_threads, assert_whole, errors)
    sweep("decomposition on threads", *args, **options)


def test_results_are_written_at_once(small_map, decomposed, monkeypatch):
    """Every event and every line of what writes them."""
    found = small_map.deepcopy()
    with silence():
        options = QUIET | PLAIN | {"return_info": True}
        found = found.decomposition(output_dimension=3, **options)
    old, new = state(decomposed), decomposed.deepcopy()
    # is long, and before anything is written
    monkeypatch.setattr(signals._phases, "provenance", lambda options: {})
    new._store(found, None, {})
    new = state(new)

    def write(s):
        s._store(found, None, {})

    for lines in (False, True):
        with Fault(0, lines=lines) as counter:
            write(decomposed.deepcopy())
        step = max(1, counter.count // (20 * MOMENTS))
        seen = set()
        places = range(1, counter.count + 1, step)
        for place in places:
            s = decomposed.deepcopy()
            with contextlib.suppress(KeyboardInterrupt), Fault(place, lines=lines):
                write(s)
            now = state(s)
            assert now in (old, new)
            seen.add(now == new)
        assert False in seen
        record(
            "faults", "KeyboardInterrupt while a result is stored", *2 * [len(places)]
        )


def test_estimates(decomposed):
    """What they find is a single item of the metadata."""

    def check(item):
        def whole(s, before):
            stored = s.metadata.EDS_espm.get_item(item).as_dictionary()
            assert np.isfinite(stored["loss"]).all()
            delattr(s.metadata.EDS_espm, item)
            assert state(s) == before

        return whole

    few = {"n_thinnings": 2, "n_init": 1, "show_progressbar": False}
    errors = (KeyboardInterrupt, MemoryError)
    sweep(
        "estimate_number_of_phases",
        decomposed,
        lambda s: s.estimate_number_of_phases([1, 2], **few),
        check("number_of_phases"),
        errors,
    )
    sweep(
        "estimate_binning",
        decomposed,
        lambda s: s.estimate_binning(2, [1, 2], **few),
        check("best_binning"),
        errors,
    )


def test_calibration(small_map):
    def action(s):
        s.refine_calibration(["offset"], print_info=False)

    def whole(s, before):
        record = s.metadata.EDS_espm.calibration.as_dictionary()
        axis = s.axes_manager[-1]
        assert set(record["errors"]) == {"offset"}
        assert axis.offset != -0.1
        assert s.metadata.EDS_espm.has_item("detector")

    n = max(3, MOMENTS // 2)  # it is long
    sweep("refine_calibration", small_map, action, whole, (KeyboardInterrupt,), n)


def test_parameters(small_map):
    start = small_map.deepcopy()
    start.set_analysis_parameters(thickness=10, stray_elements=["C"])
    new = start.deepcopy()
    given = {"thickness": 20, "stray_elements": ["Cu"], "detector": "windowless"}
    new.set_analysis_parameters(**given)
    new = state(new)

    def whole(s, before):
        assert state(s) == new

    def action(s):
        s.set_analysis_parameters(**given)

    n = 20 * MOMENTS
    sweep("set_analysis_parameters", start, action, whole, (KeyboardInterrupt,), n)


def test_parameters_of_a_map_with_an_uneven_axis(small_map):
    s = small_map.deepcopy()
    s.axes_manager[-1].convert_to_non_uniform_axis()
    s.set_analysis_parameters(thickness=20)
    assert s.metadata.Sample.thickness == 20


def test_what_only_reads(decomposed):
    """It changes nothing, whenever it is stopped."""

    def nothing(s, before):
        raise AssertionError("the signal has changed")

    for name, action in {
        "quantify": lambda s: s.quantify("pixels"),
        "physical_model": lambda s: s.physical_model(),
        "suggest_elements": lambda s: s.suggest_elements(print_info=False),
        "bootstrap": lambda s: s.bootstrap_quantification(2, show_progressbar=False),
    }.items():
        with silence():
            sweep(name, decomposed, action, nothing, (KeyboardInterrupt,))


@pytest.mark.random
def test_ctrl_c_as_the_system_sends_it(small_map):
    """A timer's signal becomes KeyboardInterrupt wherever the interpreter is."""
    rng = np.random.default_rng()
    before, stopped = state(small_map), 0
    usual = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for delay in rng.uniform(0.001, 0.15, 2 * MOMENTS):
            s = small_map.deepcopy()
            try:
                signal.setitimer(signal.ITIMER_REAL, delay)
                decompose(s, 3, tol=0, max_iter=300)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                stopped += 1
            if state(s) != before:
                assert_whole(s, before)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)
    record("faults", "a signal of the system in decomposition", 2 * MOMENTS, stopped)


def test_ctrl_c_ends_an_estimate_and_not_one_fit_of_it(decomposed, monkeypatch):
    """Fits keep their best result, of which an estimate would go on."""
    from espm_hs.factorization.solvers import multi_start as solver

    fits = []

    def race(*args):
        fits.append(1)
        if len(fits) == 2:
            raise KeyboardInterrupt
        return usual(*args)

    usual = solver._advance_together
    monkeypatch.setattr(solver, "_advance_together", race)
    for call in (
        lambda s: s.estimate_number_of_phases([1, 2, 3], show_progressbar=False),
        lambda s: s.estimate_binning(2, [1, 2], show_progressbar=False),
        lambda s: s.bootstrap_quantification(3, show_progressbar=False),
        lambda s: decompose(s, sparsity="auto"),
    ):
        fits.clear()
        s = decomposed.deepcopy()
        with pytest.raises(KeyboardInterrupt), silence():
            call(s)
        assert len(fits) == 2
        assert state(s) == state(decomposed)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and glibc")
def test_memory_limit():
    """The system grants only so much more than there is, in another process.

    That begins anew: in one with other tests, what they leave behind may be enough.
    """
    extra = np.linspace(0, 20e6, max(2, MOMENTS // 8)).astype(int).tolist()
    codes = [in_child(_with_little_memory, n_bytes) for n_bytes in extra]
    assert set(codes) <= {0, 2}, dict(zip(extra, codes, strict=True))
    raised = codes.count(2)
    record("faults", "limit of the memory in decomposition", len(extra), raised)
    assert raised


def _with_little_memory(n_bytes) -> int:
    """2 for an error that left the signal alone, 0 for a whole result."""
    s, failed = make_map((4, 3), 200, size=300), False
    s.data = np.tile(s.data, (75, 100, 1))
    s.axes_manager._axes[0].size, s.axes_manager._axes[1].size = s.data.shape[:2]
    options = {"n_jobs": 1, "n_init": 1, "max_iter": 3}
    before = state(s)
    # compiles and reads, and makes the stack as deep as it will be: if that gets no
    # memory, the system ends the process
    decompose(s.deepcopy(), **options)
    # what was freed goes back, or it would be enough; and what is left in the heap is
    # not used for arrays, which are mapped each by itself
    libc, mmap_threshold = ctypes.CDLL(None), -3
    libc.malloc_trim(0)
    libc.mallopt(mmap_threshold, 1 << 17)
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + n_bytes, most))
    # in memory in any case: files would be read by other kernels, and LLVM, which
    # compiles them, ends the process if it gets no memory; CPython waits forever for
    # a thread that gets none
    try:
        with dask.config.set({"espm_hs.counts-in-memory": "1 TB"}):
            decompose(s, **options)
    except (MemoryError, OSError, RuntimeError):  # of maps of memory, of threads
        failed = True
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    if failed:
        assert state(s) == before
        return 2
    assert_whole(s, before)
    return 0


def test_maps_that_were_not_made_smooth(small_map, monkeypatch):
    """The result says so, whether Ctrl-C came before them or while they were made."""

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    for place in (
        "decomposition.decompose.fit_maps",
        "decomposition.decompose.choose_smoothness",
        "decomposition.search.find_inclusion",
        "factorization.solvers.multi_start._advance_together",
    ):
        s = small_map.deepcopy()
        with monkeypatch.context() as patch:
            patch.setattr(f"espm_hs.{place}", interrupted)
            smoothness = "auto" if place.endswith("choose_smoothness") else 10.0
            decompose(s, smoothness=smoothness)
        found = s.analysis_results()
        assert found.interrupted
        assert not found.smoothness.any()
        assert len(s.quantify("pixels")) == 5


def test_objective_of_a_step_that_was_interrupted_at_its_end(small_map):
    """Newton's method had accepted the step, and not yet noted its objective."""
    counts = Counts.from_array(small_map.data)
    with threads.Passes(counts, Problem(300, 2), 1) as passes:
        V, H = (np.ones(shape) for shape in ((300, 2), (12, 2)))
        V[:150, 0] = 2.0
        descent = NewtonDescent(passes, V, H, 1e-4)
        descent.advance(30)
        F = descent.history.pop()
        assert len(descent.history) >= 1
        descent.finish()
        assert descent.history[-1] == pytest.approx(F, rel=1e-9)


# -- threads, tasks and callbacks ----------------------------------------------------


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, Broken])
def test_kernels_that_fail(small_map, monkeypatch, error):
    """In whichever thread, at whichever block."""
    before = state(small_map)
    calls = []

    def failing(k, *args):
        kernel = usual(k, *args)

        def call(*arguments):
            calls.append(threading.current_thread())
            if len(calls) == place:
                raise error
            return kernel(*arguments)

        return call

    usual, place = threads.block_pass, 0
    monkeypatch.setattr(threads, "block_pass", failing)
    decompose(small_map.deepcopy(), n_jobs=2)
    places = np.unique(np.linspace(1, len(calls), MOMENTS).astype(int)).tolist()
    for place in places:  # noqa: B007 - `failing` looks at it
        calls.clear()
        s = small_map.deepcopy()
        with contextlib.suppress(error):
            decompose(s, n_jobs=2)
        if state(s) != before:
            assert error is KeyboardInterrupt
            assert_whole(s, before)
    n = len(places)
    record("faults", f"{error.__name__} in a kernel on any thread", n, n)


def test_threads_are_through_when_a_pass_has_failed(monkeypatch):
    """Nobody writes to H after an error has left the pass."""
    X = np.ones((4000, 50), np.uint8)
    counts, problem = Counts.from_array(X), Problem(50, 2)
    assert counts.blocks.size > 4
    begun, go_on, ended = threading.Event(), threading.Event(), []

    def work(block):
        if threading.current_thread() is threading.main_thread():
            begun.wait()
            threading.Timer(0.2, go_on.set).start()
            raise KeyboardInterrupt
        begun.set()
        go_on.wait()
        ended.append(block)

    with threads.Passes(counts, problem, 2) as passes:
        with pytest.raises(KeyboardInterrupt):
            passes._on_all_blocks(work)
        # the block under way was finished, the others left out
        assert ended == [1]


@pytest.mark.parametrize("error", [MemoryError, OSError, Broken])
def test_chunks_that_fail(small_map, error):
    """Tasks of dask that raise while a lazy map is read."""
    lazy = small_map.as_lazy()
    for place in range(4):

        def chunk(block, block_info=None, place=place):
            if block_info[0]["chunk-location"][0] == place:
                raise error("no such disk")
            return block

        data = da.from_array(small_map.data, chunks=(1, 3, 300))
        lazy.data = data.map_blocks(chunk, dtype=data.dtype)
        before = plain([lazy.metadata, vars(lazy.learning_results)])
        with pytest.raises(error):
            decompose(lazy)
        assert plain([lazy.metadata, vars(lazy.learning_results)]) == before
    # the same signal, once the disk is there again
    lazy.data = data
    decompose(lazy)
    assert_whole(lazy, state(small_map.as_lazy()))


def test_callbacks_that_fail(small_map, monkeypatch):
    class Bar:
        n = 0

        def __init__(self, *args, **kwargs):
            pass

        def update(self, n):
            raise Broken

        def set_description_str(self, desc, refresh=True):
            pass

        def close(self):
            pass

    monkeypatch.setattr(signals._masks, "progressbar", Bar)
    s = small_map.deepcopy()
    with pytest.raises(Broken):
        decompose(s)
    assert state(s) == state(small_map)


def test_estimator_stays_unfitted(small_map):
    X = small_map.data.reshape(12, -1)
    problem = Problem(X.shape[1], 2)

    def stop(n_iter, F):
        raise Broken

    with pytest.raises(Broken):
        factorize(Counts.from_array(X), problem, callback=stop)
    for place in moments(lambda: EspmNMF(2, max_iter=20).fit(X)):
        model = EspmNMF(2, max_iter=20)
        with silence(), contextlib.suppress(MemoryError), Fault(place, MemoryError):
            model.fit(X)
        fitted = {name for name in vars(model) if name.endswith("_")}
        if "components_" in fitted:
            assert model.transform(X).shape == (12, 2)
        else:
            assert not fitted - {"n_features_in_"}


# -- files that are being written ----------------------------------------------------


@contextlib.contextmanager
def plain_files():
    """What is beside a map is text that can be compared."""

    def text(signal, path, *_):
        path.write_text(signal.metadata.EDS_espm.batch * 9000)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maps.plotting, "plot_phases", lambda signal: signal)
        patch.setattr(maps, "save_figure", text)
        patch.setattr(maps, "write_report", text)
        patch.setattr(maps, "write_composition", text)
        yield


def write(folder, s, title):
    """Write results of a map over others."""
    s.metadata.EDS_espm.set_item("batch", title)
    maps.write_results(s, folder / "map.hspy", folder)


@pytest.fixture
def results(decomposed, tmp_path):
    """Folder with results, and the map that has them."""
    s = decomposed.deepcopy()
    with plain_files():
        write(tmp_path, s, "old")
        yield tmp_path, s


def titles(folder):
    """What is in the files under their final names; fails if one is not whole."""
    hspy, *others = results_of(folder / "map.hspy", folder)
    s = hs.load(hspy)
    assert s.analysis_results().n_phases == 2
    assert np.isfinite(s.learning_results.loadings).all()
    found = [s.metadata.EDS_espm.batch]
    for file in others:
        text = file.read_text()
        assert text == text[:3] * 9000
        found.append(text[:3])
    return found


def assert_only_results(folder):
    assert {f.name for f in folder.iterdir()} == {
        f.name for f in results_of(folder / "map.hspy", folder)
    }


def test_kill_while_files_are_written(results):
    folder, _ = results
    assert in_child(_killed_again_and_again, folder) == 0


def _killed_again_and_again(folder):
    def action():
        write(folder, s, "old")

    def killed(place, ours):
        kill = partial(os.kill, os.getpid(), signal.SIGKILL)
        with Fault(place, kill, ours=ours):
            write(folder, s, "new")

    s = hs.load(results_of(folder / "map.hspy", folder)[0])
    seen, codes = set(), set()
    with plain_files(), dask.config.set(scheduler="synchronous"):
        anywhere = moments(action)
        with Fault(0, ours=True) as counter:
            action()
        # files are moved to their places at the end
        at_the_end = range(counter.count - 20, counter.count + 1, 2)
        places = [(n, False) for n in anywhere] + [(n, True) for n in at_the_end]
        for place in places:
            action()
            codes.add(in_fork(killed, *place))
            seen.add(tuple(titles(folder)))
    n = len(places)
    record("faults", "kill -9 while files are written", n, n)
    assert codes <= {-signal.SIGKILL, 0}
    assert ("old",) * 4 in seen
    # one comes after the other, the map last: where it is new, all are
    assert len(seen) == 5
    assert all(set(found) == {"new"} for found in seen if found[0] == "new")


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, MemoryError])
def test_errors_while_files_are_written(results, error):
    folder, s = results
    places = moments(lambda: write(folder, s, "old"))
    for place in places:
        write(folder, s, "old")
        # what is lost on the way is found by reading what was written, and traits
        # makes errors of its own of any
        with contextlib.suppress(error, Exception), Fault(place, error):
            write(folder, s, "new")
        assert set(titles(folder)) <= {"old", "new"}
        assert_only_results(folder)
    n = len(places)
    record("faults", f"{error.__name__} while files are written", n, n)


def test_full_disk(results):
    """Files may not grow beyond a limit, as on a disk that is full."""
    folder, _ = results
    assert in_child(_results_on_a_full_disk, folder) == 0


@contextlib.contextmanager
def largest_file(n_bytes):
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def _results_on_a_full_disk(folder):
    def fail(limit):
        with (
            largest_file(limit),
            pytest.raises(OSError, match=r"map_\w+[.]\w+ cannot .* the disk is full"),
        ):
            write(folder, s, "new")

    file = results_of(folder / "map.hspy", folder)[0]
    s, size = hs.load(file), file.stat().st_size
    limits = np.linspace(100, size - 100, MOMENTS).astype(int).tolist()
    with plain_files(), dask.config.set(scheduler="synchronous"):
        for limit in limits:
            # HDF5 does not get over many of them
            assert in_fork(fail, limit) == 0, limit
            assert titles(folder) == ["old"] * 4
            assert_only_results(folder)
    n = len(limits)
    record("faults", "full disk while files are written", n, n)


def test_full_disk_of_counts(tmp_path):
    """Those that are too many for the memory go to temporary files."""
    assert in_child(_counts_on_a_full_disk, tmp_path) == 0


def _counts_on_a_full_disk(folder):
    small = make_map((4, 3), 200, size=300)
    lazy = small.as_lazy()
    settings = {"espm_hs.counts-in-memory": 0, "temporary-directory": str(folder)}
    with dask.config.set(settings):
        decompose(lazy.deepcopy())  # what is compiled goes to files, too
        # the counts are kept for as long as the array
        lazy.data = da.from_array(small.data, chunks=(1, 3, 300))
        gc.collect()
        assert list(folder.iterdir()) == []
        before = plain([lazy.metadata, vars(lazy.learning_results)])
        for limit in (0, 100, 300, 700):
            with (
                largest_file(limit),
                pytest.raises(OSError, match=r"is the disk full.*temporary-directory"),
            ):
                decompose(lazy)
            assert plain([lazy.metadata, vars(lazy.learning_results)]) == before
            gc.collect()
            assert list(folder.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_device_without_space(tmp_path):
    def write():
        with finished_files(tmp_path) as new, new("table.csv") as file:
            file.symlink_to("/dev/full")
            file.write_text("much")

    with pytest.raises(OSError, match=r"table.csv cannot be written: the disk is full"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_devices_are_no_files_to_replace(tmp_path, decomposed):
    decomposed.save(tmp_path / "map.hspy")
    with pytest.raises(OSError, match="no file: name another"):
        batch.report_file(tmp_path / "map.hspy", os.devnull)
