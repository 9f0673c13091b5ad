"""The real az, the requests of other Azure clients, and bad input, all against a real `remora up`.

    run.py --remora PROGRAM --az PROGRAM [--jobs N] [PART ...]

Runs the cases whose module or description contains one of the PARTs, or all. `make test-az` makes what it needs and calls it.
"""

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import harness  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--remora", required=True, help="the program `remora`")
    parser.add_argument("--az", required=True, help="the program `az`")
    parser.add_argument("--sdk", help="a directory with azure-identity, which az does without")
    parser.add_argument("--jobs", type=int, default=(os.cpu_count() or 1) + 1, help="cases that run side by side")
    parser.add_argument("--keep", action="store_true", help="keeps the directory with data and logs")
    parser.add_argument("parts", nargs="*")
    arguments = parser.parse_args()
    for name in sorted(path.stem for path in (Path(__file__).parent / "cases").glob("[a-z]*.py")):
        importlib.import_module(f"cases.{name}")
    asked = [part.lower() for part in arguments.parts]
    chosen = [one for one in harness.CASES if not asked or any(part in f"{one[0]}: {one[1]}".lower() for part in asked)]
    if not chosen:
        print(f"no case has {' or '.join(asked)} in its name", file=sys.stderr)
        return 2
    started = time.monotonic()
    place = tempfile.mkdtemp(prefix="remora-test-az-")
    suite = harness.Suite(Path(arguments.remora).absolute(), Path(arguments.az).absolute(), place, arguments.jobs, arguments.sdk)
    try:
        suite.prepare()
        failed = suite.run(chosen)
    except harness.Failure as failure:
        print(f"FAILED  {failure}")
        failed = 1
    finally:
        bad = suite.remora.stop()
    if bad:
        failed += 1
        print("FAILED  the log of `remora up` has lines that should not be there:\n    " + "\n    ".join(bad[:20]))
    print(f"{len(chosen)} cases, {failed} failed, {time.monotonic() - started:.0f} s" + (f"; see {place}" if arguments.keep else ""))
    if not arguments.keep:
        shutil.rmtree(place, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
