"""The checks under each exercise: what a learner's function must do, and words for what it does instead.

    from course.checks import check
    check("04-elman/elman_step_backward", elman_step_backward)

They need neither PyTorch nor the reference: worked examples and the answers of known wrong versions are
data (`data/`), everything else is a property that the function must have (one module per chapter).
"""

from course.checks.run import UNWRITTEN, CheckFailed, Result, check, check_names, compare_all, run_checks

__all__ = ["UNWRITTEN", "CheckFailed", "Result", "check", "check_names", "compare_all", "run_checks"]
