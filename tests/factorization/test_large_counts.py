"""Maps that are read chunk by chunk, and counts that are kept on disk."""

import gc
import threading
from types import SimpleNamespace

import dask
import dask.array as da
import numpy as np
import pytest
import sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from espm_hs.factorization import Counts
from espm_hs.factorization.counts import chunks, storage


def drawn(shape=(7, 6, 40), mean=0.3, seed=1):
    return np.random.default_rng(seed).poisson(mean, shape).astype(np.uint8)


def same(a, b):
    """Whether two Counts are equal to the bit."""
    pairs = ((a.indptr, b.indptr), (a.channels, b.channels), (a.values, b.values))
    return all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in pairs)


@st.composite
def cut_maps(draw):
    """A map of up to two navigation axes, cut anywhere along each of its axes."""
    shape = [draw(st.integers(1, 6)) for _ in range(draw(st.integers(1, 3)))]
    cuts = []
    for size in shape:
        inner = sorted(draw(st.sets(st.integers(1, size), max_size=2)) - {size})
        cuts.append(tuple(np.diff([0, *inner, size]).tolist()))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    data = rng.poisson(draw(st.sampled_from([0.0, 0.2, 300.0])), shape)
    pixels = rng.random(int(np.prod(shape[:-1]))) < draw(st.sampled_from([0.5, 1.0]))
    channels = rng.random(shape[-1]) < 0.7
    return data.astype(np.uint16), tuple(cuts), pixels, channels


@settings(max_examples=40)
@given(cut_maps(), st.booleans(), st.booleans())
def test_any_chunks_give_the_same_bits(cut, is_sparse, masked):
    data, cuts, pixels, channels = cut
    masks = {"pixels": pixels, "channels": channels} if masked else {}
    lazy = da.from_array(data, chunks=cuts)
    if is_sparse:
        lazy = lazy.map_blocks(sparse.COO.from_numpy)
    with dask.config.set(scheduler="sync"):
        found = Counts.from_array(lazy, **masks)
    assert same(found, Counts.from_array(data, **masks))


def test_every_chunk_is_read_once_and_few_at_a_time(monkeypatch):
    data, lock = drawn((16, 8, 40)), threading.Lock()
    held, most, times = 0, 0, {}

    def load(block, block_info=None):
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
            place = block_info[0]["chunk-location"]
            times[place] = times.get(place, 0) + 1
        return block

    original = chunks.read_chunk

    def read(*arguments):
        nonlocal held
        with lock:
            held -= 1
        return original(*arguments)

    monkeypatch.setattr(chunks, "read_chunk", read)
    monkeypatch.setattr(chunks, "WINDOW_BYTES", 1)
    monkeypatch.setattr(chunks, "CPU_COUNT", 2)
    lazy = da.from_array(data, chunks=(2, 4, 10)).map_blocks(load, dtype=data.dtype)
    times.clear()
    held = most = 0
    with dask.config.set(scheduler="threads", num_workers=8):
        found = Counts.from_array(lazy)
    assert same(found, Counts.from_array(data))
    assert len(times) == 64
    assert set(times.values()) == {1}
    assert most <= 4


def test_sparse_chunks_never_become_dense(monkeypatch):
    dense = drawn()
    data = sparse.COO.from_numpy(dense)

    def densify(*_):
        raise AssertionError("made dense")

    monkeypatch.setattr(sparse.COO, "todense", densify)
    monkeypatch.setattr(sparse.COO, "__array__", densify)
    for array in (data, da.from_array(data, chunks=(3, 4, 17))):
        assert Counts.from_array(array).total == dense.sum()


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
def test_schedulers(scheduler):
    data = drawn()
    with dask.config.set(scheduler=scheduler, num_workers=1):
        found = Counts.from_array(da.from_array(data, chunks=(3, 2, 30)))
    assert same(found, Counts.from_array(data))


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_values_that_are_no_counts(bad):
    data = drawn().astype(float)
    data[2, 3, 4] = bad
    lazy = da.from_array(data, chunks=(3, 2, 5))
    with pytest.raises(ValueError, match="navigation_mask"):
        Counts.from_array(lazy)
    pixels = np.arange(42) != 2 * 6 + 3
    assert Counts.from_array(lazy, pixels=pixels).n_pixels == 41


@pytest.fixture
def little_memory(tmp_path):
    """Counts go to files as soon as there are 100 bytes of them."""
    settings = {
        "espm_hs.counts-in-memory": "100 B",
        "temporary-directory": str(tmp_path),
    }
    with dask.config.set(settings):
        yield tmp_path


@pytest.mark.parametrize("largest", [1, 1000, 2**20, 0.5])
def test_counts_on_disk(little_memory, largest):
    data = drawn((12, 6, 40)) * np.ones(1)
    data[-1, -1, -1] = largest  # values become wider at the very end
    lazy = da.from_array(data, chunks=(3, 6, 40))
    spilled = Counts.from_array(lazy)
    assert len(list(little_memory.iterdir())) == 1
    with dask.config.set({"espm_hs.counts-in-memory": "1 GB"}):
        assert same(spilled, Counts.from_array(data))
    assert not spilled.values.flags.writeable
    assert type(spilled.values) is np.ndarray
    # the files are there for as long as any array reads them
    kept = spilled.part(10, 20)
    expected = data.reshape(-1, 40)[10:20]
    del spilled
    gc.collect()
    np.testing.assert_array_equal(kept.to_csr().toarray(), expected)
    del kept
    gc.collect()
    assert not any(little_memory.iterdir())


def test_files_go_when_reading_fails(little_memory):
    data = drawn((12, 6, 40)).astype(float)
    data[-1, -1, -1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        Counts.from_array(da.from_array(data, chunks=(3, 6, 40)))
    gc.collect()
    assert not any(little_memory.iterdir())


def test_a_fit_of_counts_on_disk(little_memory):
    from conftest import make_map

    s = make_map((10, 9)).as_lazy()
    options = {"output_dimension": 3, "max_iter": 40, "tol": 0.1, "print_info": False}
    found = s.decomposition(algorithm="espm", return_info=True, **options)
    with dask.config.set({"espm_hs.counts-in-memory": "1 GB"}):
        other = s.decomposition(algorithm="espm", return_info=True, **options)
    np.testing.assert_array_equal(found.W, other.W)
    np.testing.assert_array_equal(found.loadings, other.loadings)


def test_limits_of_memory(tmp_path, monkeypatch):
    assert storage.available_memory() > 0
    proc, group = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (group / "user" / "job").mkdir(parents=True)
    machine = SimpleNamespace(available=4096 * 1024)
    monkeypatch.setattr(storage.psutil, "virtual_memory", lambda: machine)
    monkeypatch.setattr(storage, "PROC", proc)
    monkeypatch.setattr(storage, "CGROUP", group)
    monkeypatch.setattr(storage, "left_to_process", lambda: float("inf"))
    assert storage.available_memory() == 4096 * 1024
    (proc / "self" / "cgroup").write_text("0::/user/job\n")
    (group / "user" / "job" / "memory.max").write_text("max\n")
    (group / "user" / "job" / "memory.current").write_text("10\n")
    (group / "user" / "memory.max").write_text("1000\n")
    (group / "user" / "memory.current").write_text("500\n")
    for folder in (group / "user", group / "user" / "job"):
        (folder / "memory.stat").write_text("anon 7\ninactive_file 30\n")
    assert storage.available_memory() == 530
    with dask.config.set({"espm_hs.counts-in-memory": None}):
        assert storage.memory_for_counts() == 530 * storage.SHARE
    # a group as the first version of Linux's had it, beside others
    old = group / "memory" / "job"
    old.mkdir(parents=True)
    (old / "memory.limit_in_bytes").write_text("900\n")
    (old / "memory.usage_in_bytes").write_text("500\n")
    (old / "memory.stat").write_text("cache 0\nactive_file 20\ninactive_file 30\n")
    (proc / "self" / "cgroup").write_text("4:cpu:/x\n3:pids,memory:/job\n")
    assert storage.available_memory() == 450


@pytest.mark.skipif(not hasattr(storage.psutil, "RLIMIT_AS"), reason="no such limit")
def test_a_limit_on_the_address_space_counts(monkeypatch):
    class Process:
        def rlimit(self, kind):
            assert kind == storage.psutil.RLIMIT_AS
            return 1000, storage.psutil.RLIM_INFINITY

        def memory_info(self):
            return SimpleNamespace(vms=400)

    monkeypatch.setattr(storage.psutil, "Process", Process)
    assert storage.available_memory() == 600
