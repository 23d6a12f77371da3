"""What is written to a signal, which gets all of it or stays as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from espm_hs.metadata.schema import NODE, Tree


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


def write_parameters(metadata: Tree, items: Mapping[str, Any]) -> None:
    """Write values by their paths, replacing whole nodes and keeping the others.

    Raises
    ------
    ValueError
        If something else is where the parameters of this package belong.
    """
    check_node(metadata)
    for path, value in items.items():
        # a dictionary would be merged into the node that is there
        remove(metadata, path)
        metadata.set_item(path, value)


def remove(metadata: Tree, path: str) -> None:
    """Remove what is at a path, if there is anything."""
    if metadata.has_item(path):
        parent, _, name = path.rpartition(".")
        delattr(metadata.get_item(parent) if parent else metadata, name)


def check_node(metadata: Tree) -> None:
    """Raise ValueError if something else is where this package keeps its own."""
    node = metadata.get_item(NODE)
    if node is not None and not hasattr(node, "as_dictionary"):
        raise ValueError(
            f"{NODE} in the metadata is {node!r}; needed is a node with the parameters "
            f"of the analysis. Remove it with `del s.metadata.{NODE}`."
        )
