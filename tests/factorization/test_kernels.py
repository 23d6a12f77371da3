"""How kernels are compiled."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from espm_hs.factorization.kernels import compiled, without_interrupts


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.05)


@pytest.fixture(autouse=True)
def _hears_interrupts():
    """Shells have what they start in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def slow(monkeypatch):
    """A kernel, and what happens while it is compiled: Ctrl-C comes in the middle."""
    kernel = compiled(cache=False)(lambda x: x + 1)
    if not hasattr(kernel, "compile"):
        pytest.skip("compilation is switched off")
    compiles, seen = kernel.compile, []

    def compile_slowly(signature):
        seen.append("begun")
        interrupt()
        seen.append("ended")
        return compiles(signature)

    monkeypatch.setattr(kernel, "compile", compile_slowly)
    return kernel, seen


def test_interrupt_waits_until_a_kernel_is_compiled(slow):
    kernel, seen = slow
    with pytest.raises(KeyboardInterrupt):
        kernel(1)
    assert seen == ["begun", "ended"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert kernel(1) == 2
    assert seen == ["begun", "ended"]
    # each new type of argument is compiled for by itself
    with pytest.raises(KeyboardInterrupt):
        kernel(np.ones(2))
    assert seen == ["begun", "ended"] * 2


def test_own_handler_hears_of_the_interrupt_once(slow):
    kernel, _ = slow
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(True))
    try:
        assert kernel(1) == 2
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [True]


def test_interrupt_comes_after_an_error():
    @without_interrupts()
    def fail():
        interrupt()
        raise ValueError("of the compiler")

    with pytest.raises(KeyboardInterrupt):
        fail()


def test_other_threads_leave_the_handler_alone():
    inside = []

    def work():
        with without_interrupts():
            inside.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [signal.getsignal(signal.SIGINT)]


def test_kernels_that_python_calls_are_held():
    from espm_hs.factorization.kernels.newton import curvature_pass, newton_pass
    from espm_hs.factorization.kernels.pixel_updates import block_pass, loss_pass

    kernels = [
        curvature_pass(0),
        newton_pass(0, False),
        loss_pass(0, False),
        block_pass(0, False, False),
    ]
    if not hasattr(kernels[0], "compile"):
        pytest.skip("compilation is switched off")
    assert all("_compile_for_args" in vars(kernel) for kernel in kernels)


@pytest.mark.parametrize("collects", [True, False])
def test_nothing_is_collected_while_compiling(collects):
    """And afterwards it is as before."""
    from numba.core import event

    class Listener(event.Listener):
        def on_start(self, _):
            seen.append(gc.isenabled())

        def on_end(self, _):
            pass

    @compiled(cache=False)
    def twice(x):
        return 2 * x

    if not hasattr(twice, "compile"):
        pytest.skip("compilation is switched off")
    seen, before = [], gc.isenabled()
    (gc.enable if collects else gc.disable)()
    try:
        with event.install_listener("numba:compile", Listener()):
            assert twice(2.0) == 4.0
        assert gc.isenabled() == collects
    finally:
        (gc.enable if before else gc.disable)()
    assert seen
    assert not any(seen)


# A folder for compiled code that cannot be written to, if asked for; then two kernels.
FIRST_USE = """
import sys
from numba.core import caching
if "nowhere" in sys.argv:
    caching.CacheImpl._locator_classes = []
import numpy as np
from espm_hs.factorization.counts.counts import Counts
data = np.arange(24).reshape(2, 3, 4)
print(Counts.from_array(data).total, Counts.from_array(data.astype(float)).total)
"""


def first_use(folder, *arguments):
    """Output and messages of a process that uses kernels."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST_USE, *arguments],
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, done.stderr


def test_compilation_is_said_once_and_kept(tmp_path):
    output, said = first_use(tmp_path)
    assert output.split() == ["276.0", "276.0"]
    assert said.count("Compiling") == said.count("espm-hs compile") == 1
    output, said = first_use(tmp_path)
    assert output.split() == ["276.0", "276.0"]
    assert "Compiling" not in said


def test_without_a_folder_for_compiled_code(tmp_path):
    """Numba refuses to compile for the disk where it may not write anywhere."""
    for _ in range(2):
        output, said = first_use(tmp_path, "nowhere")
        assert output.split() == ["276.0", "276.0"]
        assert said.count("Compiling") == said.count("NUMBA_CACHE_DIR") == 1
