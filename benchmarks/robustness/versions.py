"""What passed in which versions: the results that `nox` leaves, as a table.

Run after `nox` with

    python benchmarks/robustness/versions.py --write docs/trust.md

Sessions that were not run keep the rows that they have in the page.
"""

import json
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.runner import ROOT, publish, read_between, run

RESULTS = ROOT / "build" / "versions"


def row(result: Path) -> dict[str, str]:
    """Return name, versions and outcome of a session."""
    found = {"session": result.stem, **json.loads(result.read_text())}
    suite = ElementTree.parse(result.with_suffix(".xml")).find("testsuite")
    total, skipped = int(suite.get("tests")), int(suite.get("skipped"))
    failed = int(suite.get("failures")) + int(suite.get("errors"))
    found["passed"] = str(total - skipped - failed)
    found["failed"], found["skipped"] = str(failed), str(skipped)
    return found


def main(given):
    found = [row(result) for result in sorted(RESULTS.glob("*.json"))]
    if found:
        before = read_between(given.write, "versions")[""] if given.write else ()
        now = [list(one.values()) for one in found]
        rows = {session: [session, *cells] for session, *cells in (*before, *now)}
        ordered = [rows[session] for session in sorted(rows)]
        publish(tuple(found[0]), ordered, given.write, "versions")
    elif not given.smoke:
        raise SystemExit(f"{RESULTS} is empty: run `nox` first.")


if __name__ == "__main__":
    run(main, __doc__, page=True)
