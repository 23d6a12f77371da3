"""Shifts between frames, from their counts."""

import numpy as np
import pytest

from espm_hs.calibration.frames import _bad, common_area, shifts_of_frames
from espm_hs.factorization import Counts
from espm_hs.simulation import experiment

SHAPE = (40, 40)


@pytest.fixture(scope="module")
def whole():
    """Means of a map from which frames are cut."""
    return experiment("core_shell", (60, 60), 10).expected()


def frames_of(whole, shifts, seed=0):
    """Draw frames in which everything is moved by shifts."""
    rng = np.random.default_rng(seed)
    frames = []
    for y, x in 10 - np.asarray(shifts):
        mean = whole[y : y + SHAPE[0], x : x + SHAPE[1]]
        frames.append(rng.poisson(mean).astype(np.uint16))
    return frames


SHIFTS = np.array([(0, 0), (1, 0), (2, 1), (4, 1), (5, 3), (5, 4), (6, 6), (7, 8)])


def test_shifts_of_a_drift(whole):
    found = shifts_of_frames(map(Counts.from_array, frames_of(whole, SHIFTS)), SHAPE)
    off = found.shifts - (SHIFTS - SHIFTS.mean(axis=0))
    assert np.abs(off).max() < 0.4
    assert not found.bad
    assert (np.diff(found.whole, axis=0) == np.diff(SHIFTS, axis=0)).mean() > 0.8
    assert "8 frames, shifted by up to" in str(found)


def test_errors_are_those_of_many_draws(whole):
    """Frames that are not shifted: what is found is noise, as large as is said."""
    still = np.zeros((6, 2), int)
    found = [
        shifts_of_frames(
            map(Counts.from_array, frames_of(whole / 4, still, seed)), SHAPE
        )
        for seed in range(6)
    ]
    size = np.sqrt(np.mean([one.shifts**2 for one in found]))
    stated = np.sqrt(np.mean([one.errors**2 for one in found]))
    assert 0.5 < size / stated < 1.6


def test_bad_frames_are_named(whole):
    frames = frames_of(whole, SHIFTS)
    rng = np.random.default_rng(1)
    # one is blanked for most of its time, another shows something else
    frames[3] = rng.binomial(frames[3], 0.2).astype(np.uint16)
    other = whole.mean(axis=(0, 1))
    frames[5] = rng.poisson(np.broadcast_to(other, frames[5].shape)).astype(np.uint16)
    found = shifts_of_frames(map(Counts.from_array, frames), SHAPE)
    assert set(found.bad) == {3, 5}
    assert "of the counts of the others" in found.bad[3]
    assert "Frame 5" in str(found)
    good = [i for i in range(8) if i not in found.bad]
    off = found.shifts[good] - SHIFTS[good]
    assert np.abs(off - off.mean(axis=0)).max() < 0.5


def test_frames_that_show_nothing(whole):
    flat = np.broadcast_to(whole.mean(axis=(0, 1)), (60, 60, whole.shape[-1]))
    found = shifts_of_frames(
        map(Counts.from_array, frames_of(flat, np.zeros((4, 2), int))), SHAPE
    )
    assert len(found.bad) >= 3
    assert np.isinf(found.errors).any()


def test_what_all_frames_hold():
    first, size = common_area(np.array([(0, 0), (2, -1)]), (10, 12))
    assert first == (0, 1)
    assert size == (8, 11)
    with pytest.raises(ValueError, match="nothing is in all of them"):
        common_area(np.array([(0, 0), (10, 0)]), (10, 12))


def test_frames_that_resemble_the_others_too_little():
    alike = np.array([1.0, 0.9, 0.2, 1.1])
    found = _bad(np.full(4, 1000.0), alike, np.ones(4, bool))
    assert found == {2: "it resembles the others by 20 % of what is usual"}
