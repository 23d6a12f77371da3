"""One progress for a whole call: it never goes back, and ends when the call does."""

import warnings

import hyperspy.api as hs
import numpy as np
import pytest
from conftest import make_map
from hypothesis import given
from hypothesis import strategies as st

import espm_hs
from espm_hs.cli import batch
from espm_hs.cli.settings import Settings
from espm_hs.progress import is_reported, reported, stage, tell

FIT = {"algorithm": "espm", "output_dimension": 2, "n_init": 2, "print_info": False}
DRAWS = {"n_thinnings": 2, "n_init": 1}


def together(s, **options):
    fit = {"n_init": 1, "print_info": False, **options}
    espm_hs.decompose_together([s, s.deepcopy()], 2, **fit)


CALLS = {
    "fit": lambda s, **show: s.decomposition(**FIT, **show),
    "binned": lambda s, **show: s.decomposition(
        **FIT, binning=2, smoothness="auto", **show
    ),
    "sparsity": lambda s, **show: s.decomposition(**FIT, sparsity="auto", **show),
    "local": lambda s, **show: s.decomposition(**FIT, local_absorption=True, **show),
    "newton": lambda s, **show: s.decomposition(**FIT, solver="newton", **show),
    "cut short": lambda s, **show: s.decomposition(**FIT, max_iter=3, **show),
    "several starts": lambda s, **show: s.decomposition(
        **{**FIT, "n_init": 4}, random_state=0, **show
    ),
    "number": lambda s, **show: s.estimate_number_of_phases((1, 2), **DRAWS, **show),
    "binning": lambda s, **show: s.estimate_binning(2, (1, 2), **DRAWS, **show),
    "bootstrap": lambda s, **show: s.bootstrap_quantification(2, **show),
    "net counts": lambda s, **show: s.net_counts(**show),
    "numbers": lambda s, **show: s.compare_phase_numbers((1, 2), n_init=1, **show),
    "together": together,
}


@pytest.fixture(scope="module")
def fitted():
    s = make_map((8, 6), counts_per_pixel=60)
    s.set_analysis_parameters(thickness=100, density=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        s.decomposition(**FIT, show_progressbar=False)
    return s


def call(name, s, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        CALLS[name](s.deepcopy(), **options)


@pytest.mark.parametrize("name", CALLS)
def test_the_fraction_never_falls_and_ends_at_one(name, fitted):
    told = []
    with reported(lambda fraction, stage: told.append((fraction, stage))):
        call(name, fitted, show_progressbar=False)
    fractions = [fraction for fraction, _ in told]
    assert (np.diff(fractions) >= 0).all()
    assert min(fractions) >= 0
    assert max(fractions[:-1]) <= fractions[-1] == 1
    # in steps, not at once
    assert len(set(fractions)) > 8
    assert np.diff([0, *fractions]).max() < 0.75
    assert len({stage for _, stage in told}) > 1
    assert not is_reported()


@pytest.mark.parametrize("name", CALLS)
def test_one_bar_is_shown_or_none(name, fitted, capfd, monkeypatch):
    if hasattr(hs.preferences.General, "nb_progressbar"):  # HyperSpy 2.2, anywhere
        monkeypatch.setattr(hs.preferences.General, "nb_progressbar", False)
    call(name, fitted, show_progressbar=False)
    hidden = capfd.readouterr()
    call(name, fitted, show_progressbar=True)
    shown = capfd.readouterr()
    assert hidden.err == ""
    assert shown.out == hidden.out
    *before, last = shown.err.strip().split("\r")
    assert "100%|" in last
    assert "<00:00" in last
    assert "\n" not in shown.err.strip()
    percents = [int(one.split("%|")[0].split()[-1]) for one in before if "%|" in one]
    assert percents == sorted(percents)


def test_a_file_of_the_command_line_is_one_call(fitted, tmp_path, capfd):
    fitted.save(tmp_path / "map.hspy")
    settings = Settings("auto", fit={"n_init": 1, "max_iter": 20}, progress=True)
    told = []
    with reported(lambda fraction, stage: told.append((fraction, stage))):
        batch.decompose_file(tmp_path / "map.hspy", tmp_path, settings)
    assert capfd.readouterr().err == ""  # a part of what is reported here
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    stages = [stage for _, stage in told]
    ways = "reading", "1 phase", "2 phases", "looking for phases", "errors", "writing"
    first = [stages.index(name) for name in ways]
    assert first == sorted(first)


STEPS = st.recursive(
    st.lists(st.floats(-1, 2), max_size=3),
    lambda inside: st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from(["", "a", "b"]), inside), max_size=3
    ),
    max_leaves=20,
)


@given(STEPS)
def test_any_stages(steps):
    """Whatever parts there are, and whatever they tell."""
    told = []

    def go_on(steps):
        for step in steps:
            if isinstance(step, float):
                tell(step)
            else:
                with stage(*step[:2]):
                    go_on(step[2])

    go_on(steps)  # nobody has asked
    with reported(lambda fraction, _: told.append(fraction)):
        go_on(steps)
    assert told == sorted(told)
    assert told[-1] == 1


def test_parts_have_shares_of_what_is_left():
    told = []
    with reported(lambda *now: told.append(now)):
        with stage(0.5, "a"):
            tell(0.5)
            with stage(name="b"):
                tell(0.5)
        for _ in range(2):
            with stage(0.5, "c"):
                pass
    assert told == [
        *[(0.0, "a"), (0.25, "a"), (0.25, "b"), (0.375, "b"), (0.5, "b")],
        *[(0.5, "c"), (0.75, "c"), (0.75, "c"), (0.875, "c"), (1.0, "")],
    ]


def test_what_fails_does_not_come_to_its_end():
    told = []

    def fails():
        with reported(lambda *now: told.append(now)), stage(0.5, "a"):
            tell(0.5)
            raise ValueError("of the call")

    with pytest.raises(ValueError, match="of the call"):
        fails()
    assert told[-1] == (0.25, "a")
    assert not is_reported()


def test_a_display_that_interrupts_is_left_alone():
    """Ctrl-C comes while it draws; what is saved then must not be interrupted again."""
    told = []

    def show(fraction, _):
        told.append(fraction)
        raise KeyboardInterrupt

    with reported(show):
        with pytest.raises(KeyboardInterrupt):
            tell(0.5)
        tell(0.7)
    assert told == [0.5]
