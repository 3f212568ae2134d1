"""Other people's numbers beside ours, for the pages on conventions."""

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Comparison"]


class Comparison:
    """Compares arrays, stops where two differ by more than rounding, and remembers by how much each pair did."""

    def __init__(self) -> None:
        self.gaps: dict[str, float] = {}

    def __call__(self, name: str, theirs: ArrayLike, ours: ArrayLike, tolerance: float = 1e-10) -> None:
        """Print the largest difference of two arrays of one shape.

        Parameters
        ----------
        name       what is compared, for the line printed and for `gaps`.
        theirs     what the other library or formula gives.
        ours       what rnnlib gives.
        tolerance  the largest absolute difference allowed.

        Raises
        ------
        AssertionError  the arrays differ in shape or by more than the tolerance.
        """
        theirs, ours = np.asarray(theirs), np.asarray(ours)
        if theirs.shape != ours.shape:
            raise AssertionError(f"{name}: theirs has shape {theirs.shape}, ours {ours.shape}")
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=tolerance, err_msg=name)
        self.gaps[name] = float(np.abs(theirs - ours).max(initial=0.0))
        print(f"{name}: shape {theirs.shape}, largest difference {self.gaps[name]:.1e}")
