"""How much memory there is left for this process."""

from __future__ import annotations

import os
from pathlib import Path

PROC, CGROUP = Path("/proc"), Path("/sys/fs/cgroup")


def available_memory() -> float:
    """Bytes that this process can still take; infinite where nobody says.

    The least of what the machine has left, of the limit of the control group (that of
    a container or of a job on a cluster), and of the limit on the address space.
    """
    return max(0.0, min(_of_machine(), _of_group(), _of_process()))


def _of_machine() -> float:
    try:
        lines = (PROC / "meminfo").read_text().splitlines()
        found = [line.split()[1] for line in lines if line.startswith("MemAvailable")]
        return 1024.0 * int(found[0])
    except (OSError, IndexError):
        pass
    try:
        import psutil

        return float(psutil.virtual_memory().available)
    except ImportError:
        return float("inf")


def _of_group() -> float:
    """Limit of the control group less what it uses, for both versions of Linux."""
    try:
        lines = (PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return float("inf")
    least = float("inf")
    for line in lines:
        _, controllers, path = line.split(":", 2)
        folder = path.lstrip("/")
        if controllers == "":
            least = min(least, _left(CGROUP / folder, "memory.max", "memory.current"))
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
            least = min(least, _left(CGROUP / "memory" / folder, *names))
    return least


def _left(folder: Path, limit: str, used: str) -> float:
    """Return the least that a group and those around it have left."""
    least = float("inf")
    for group in (folder, *folder.parents):
        if CGROUP not in (group, *group.parents):
            break
        try:
            most, taken = (group / limit).read_text(), (group / used).read_text()
            held = (group / "memory.stat").read_text().split()
        except OSError:
            continue
        # what was read from files makes room when it is needed
        files = sum(
            float(value)
            for name, value in zip(held[::2], held[1::2], strict=True)
            if name in ("active_file", "inactive_file")
        )
        if most.strip() != "max":
            least = min(least, float(most) - float(taken) + files)
    return least


def _of_process() -> float:
    try:
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most == resource.RLIM_INFINITY:
            return float("inf")
        pages = int((PROC / "self" / "statm").read_text().split()[0])
    except (ImportError, OSError):
        return float("inf")
    return float(most - pages * os.sysconf("SC_PAGE_SIZE"))
