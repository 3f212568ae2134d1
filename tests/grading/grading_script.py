"""`python grading_script.py BUNDLE CLASS ROOT WORKERS`: a run in a process of its own, for the tests that kill it."""

import pickle
import sys
from pathlib import Path

import made_submissions as made

from course.grading import batch
from course.grading.batch import Order, grade_all


def main() -> None:
    bundle, submitted, root, workers = sys.argv[1:]
    found = pickle.loads(Path(bundle).read_bytes())
    batch.make_bundle = lambda chapter: found
    order = Order(made.SLUG, Path(submitted), Path(root), workers=int(workers), no_sandbox=made.NO_SANDBOX)
    tally = grade_all(order)
    print(tally.graded, tally.skipped)


if __name__ == "__main__":
    main()
