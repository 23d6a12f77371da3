"""A signal gets a result as a whole, or stays as it was."""

from __future__ import annotations

from collections.abc import Iterator


class AllOrNothing:
    """Takes back what was written to a signal if an error or Ctrl-C came in between.

    Computing comes before, with the signal as it is; this is for the lines that write.
    It is no generator: one that is interrupted at its end would take back what was
    complete, whenever it is collected.

    Parameters
    ----------
    signal
        Its metadata, `learning_results` and first signal axis are looked after.
    """

    def __init__(self, signal):
        self.signal = signal

    def __enter__(self):
        self.axis = self.signal.axes_manager.signal_axes[0]
        # other axes than uniform ones have none, and cannot be analysed either
        self.scale = {
            name: getattr(self.axis, name)
            for name in ("offset", "scale")
            if hasattr(self.axis, name)
        }
        spaces = [*_nodes(self.signal.metadata), vars(self.signal.learning_results)]
        self.before = [(space, dict(space)) for space in spaces]
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            return
        for space, items in self.before:
            space.clear()
            space.update(items)
        for name, value in self.scale.items():
            if getattr(self.axis, name) != value:
                setattr(self.axis, name, value)


def _nodes(metadata) -> Iterator[dict]:
    """Items of each node of HyperSpy metadata."""
    items = vars(metadata)
    yield items
    for item in items.values():
        value = item.get("_dtb_value_") if isinstance(item, dict) else None
        if isinstance(value, type(metadata)):
            yield from _nodes(value)
