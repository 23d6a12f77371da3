"""Frames of a series: maps of one signal along one more navigation axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from exspy.signals import EDSSpectrum

from espm_hs.calibration.frames import FrameShifts, common_area, shifts_of_frames
from espm_hs.decomposition.decompose import asked_channels, read_to_fit
from espm_hs.decomposition.result import PhaseAnalysis
from espm_hs.decomposition.together import OneOfMaps, in_one_map
from espm_hs.factorization import Counts
from espm_hs.factorization.counts.reading import read_counts
from espm_hs.metadata.reader import without_results
from espm_hs.signals._masks import used_channels, used_pixels
from espm_hs.signals._phases import pixel_size


class Frames(EDSSpectrum):
    """Aligns the frames of a series; part of `EDSespmSpectrum`."""

    def estimate_frame_shifts(self, axis: int | str) -> FrameShifts:
        """Find by how many pixels the frames of a series are shifted.

        Images of the combinations of channels in which pixels differ most are compared
        by the squares of their differences, each frame with the sum of all others.

        Parameters
        ----------
        axis
            Name or number of the navigation axis along which the frames are, as
            ``s.axes_manager[axis]`` takes it; the two others are those of a map.

        Returns
        -------
        FrameShifts
            Shifts with errors, and which frames are bad and why: printed, it says so.

        Raises
        ------
        ValueError
            If there is no such axis, or the frames are no maps.
        """
        series = Series.of(self, axis, maps=True)
        frames = (Counts.from_array(one) for one in series)
        ny, nx = series.shape
        return shifts_of_frames(frames, (ny, nx))

    def align_frames(
        self,
        axis: int | str,
        shifts: FrameShifts | Sequence[Sequence[int]] | None = None,
        leave_out: Sequence[int] = (),
    ) -> Any:
        """Return the series with its shifts undone, in whole pixels.

        Counts stay counts: pixels are moved and not interpolated, and what is not in
        all frames is cut off.

        Parameters
        ----------
        axis
            As in `estimate_frame_shifts`.
        shifts
            What that returns, or whole pixels along y and x for each frame; None: they
            are estimated.
        leave_out
            Numbers of frames to leave out, such as ``shifts.bad``.

        Returns
        -------
        EDSespmSpectrum or LazyEDSespmSpectrum
            A new signal.

        Raises
        ------
        ValueError, TypeError
            If an argument makes no sense, or nothing is in all frames.
        """
        series = Series.of(self, axis, maps=True)
        kept = series.kept(leave_out)
        if shifts is None:
            shifts = self.estimate_frame_shifts(axis)
        whole = shifts.whole if isinstance(shifts, FrameShifts) else np.asarray(shifts)
        if whole.shape != (len(series), 2) or whole.dtype.kind not in "iu":
            raise ValueError(
                f"`shifts` must be {len(series)} pairs of whole numbers, or what "
                f"`s.estimate_frame_shifts({axis!r})` returns; found shape "
                f"{whole.shape}, type {whole.dtype}."
            )
        ny, nx = series.shape
        first, size = common_area(whole[kept], (ny, nx))
        frames = [
            series[i][tuple(map(slice, whole[i] + first, whole[i] + first + size))]
            for i in kept
        ]
        return series.rebuilt(frames, first, kept)


@dataclass(frozen=True, eq=False)
class Series:
    """A signal, taken as frames along one of its navigation axes.

    Parameters
    ----------
    signal
        The signal.
    place
        Number of the axis of the frames in the array.
    """

    signal: Any
    place: int

    @classmethod
    def of(cls, signal: Any, axis: int | str, maps: bool = False) -> Series:
        """Find the axis; ValueError if there is none, or, for maps, no two others."""
        axes = signal.axes_manager.navigation_axes
        names = ", ".join(repr(one.name) for one in axes)
        try:
            found = signal.axes_manager[axis]
        except (ValueError, TypeError, IndexError, KeyError):
            found = None
        if found is None or not found.navigate:
            raise ValueError(
                f"`axis` is {axis!r}, which is no navigation axis; there are {names}."
            )
        if maps and len(axes) != 3:
            raise ValueError(
                "Frames of maps have three navigation axes with that of the series, "
                f"found {len(axes)}: {names}."
            )
        if len(axes) < 2:
            raise ValueError(
                f"The signal has one navigation axis, {names}: its frames would be "
                "single spectra."
            )
        return cls(signal, int(found.index_in_array))

    def __len__(self) -> int:
        return int(self.signal.data.shape[self.place])

    def __getitem__(self, number: int) -> Any:
        return self.signal.data[(slice(None),) * self.place + (number,)]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    @property
    def shape(self) -> tuple[int, ...]:
        """Navigation axes of a frame, in array order."""
        shape = self.signal.data.shape[:-1]
        return tuple(np.delete(shape, self.place).tolist())

    @property
    def axis(self) -> Any:
        """That of the frames."""
        axes = self.signal.axes_manager._axes
        return axes[self.place]

    @property
    def name(self) -> str:
        """What changes from frame to frame, with its unit."""
        units = self.axis.units
        known = isinstance(units, str) and units not in ("", "<undefined>")
        name = self.axis.name if isinstance(self.axis.name, str) else "frame"
        return f"{name} ({units})" if known else name

    def kept(self, leave_out: Any) -> list[int]:
        """Return the numbers of the frames that are not left out."""
        left = list(leave_out)
        wrong = [i for i in left if i not in range(len(self))]
        if wrong or len(set(left)) >= len(self):
            raise ValueError(
                f"`leave_out` must be numbers of frames from 0 to {len(self) - 1}, and "
                f"leave one; found {left!r}."
            )
        return [i for i in range(len(self)) if i not in left]

    def rebuilt(
        self, frames: Sequence[Any], first: tuple[int, int], kept: Sequence[int]
    ) -> Any:
        """Return a signal of some frames, which begin at other pixels of the map."""
        stack = da.stack if self.signal._lazy else np.stack
        data = stack(frames, axis=self.place)
        axes, begin = [], iter(first)
        for i, axis in enumerate(self.signal.axes_manager._axes):
            known = axis.get_axis_dictionary()
            if i == self.place and len(kept) < len(self):
                known = {n: known[n] for n in ("name", "units", "navigate")}
                known |= {"axis": np.asarray(axis.axis)[list(kept)]}
            elif i != self.place and axis.navigate:
                start = next(begin)
                size = int(data.shape[i])
                if "offset" in known:
                    known |= {"offset": float(axis.axis[start]), "size": size}
                else:
                    known |= {"axis": np.asarray(axis.axis)[start : start + size]}
            axes.append(known)
        trees = without_results(self.signal)
        return type(self.signal)(data, axes=axes, **trees)

    def maps(
        self, refinement: Any, navigation_mask: Any, signal_mask: Any
    ) -> tuple[list[OneOfMaps], list[int], np.ndarray | None]:
        """Return what is to be decomposed of each frame, with one model for all.

        Returns
        -------
        maps, kept, pixels
            Frames of which pixels are in use, their numbers, and the pixels in use of
            the series, flat.
        """
        signal = self.signal
        signal._check_not_empty()
        model = signal._model_to_fit(refinement, False)
        pixels = used_pixels(signal, navigation_mask)
        asked = asked_channels(model, used_channels(signal, signal_mask))
        _, model, channels, _ = read_to_fit(
            signal.data, model, pixels, asked, refinement, read_counts
        )
        used = np.ones(signal.data.shape[:-1], bool)
        if pixels is not None:
            used = pixels.reshape(used.shape)
        in_frames = np.moveaxis(used, self.place, 0).reshape(len(self), -1)
        kept = np.flatnonzero(in_frames.any(axis=1)).tolist()
        steps = pixel_size(signal, self.place)
        maps = [
            OneOfMaps(
                self[i],
                model,
                None if in_frames[i].all() else in_frames[i],
                channels,
                steps,
            )
            for i in kept
        ]
        return maps, kept, pixels

    def joined(
        self,
        analyses: Sequence[PhaseAnalysis],
        kept: Sequence[int],
        pixels: np.ndarray | None,
    ) -> PhaseAnalysis:
        """Return the results of frames, which share the phases, as one."""
        first = analyses[0]
        shape = (len(self), *self.shape, first.n_phases)
        loadings = np.full(shape, np.nan)
        for i, one in zip(kept, analyses, strict=True):
            loadings[i] = np.asarray(one.loadings).reshape(shape[1:])
        loadings = np.moveaxis(loadings, 0, self.place).reshape(-1, first.n_phases)
        counts = read_counts(self.signal.data, pixels=pixels, channels=first.channels)
        return in_one_map(analyses, loadings, counts)
