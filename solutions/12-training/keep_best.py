"""Inputs for 12-training/keep_best, and the run entry by entry."""

RETURNS = "run"


def inputs(rng):
    """A new best, a worse one, a tie, the first of all, no number; the run has entries of its own besides."""
    for best, waited, loss in (
        (0.7, 2, 0.6),
        (0.7, 0, 0.9),
        (0.5, 1, 0.5),
        (float("inf"), 0, 3.0),
        (0.4, 3, float("nan")),
    ):
        yield (
            {
                "params": {"W": rng.standard_normal((2, 3)), "b": rng.standard_normal(3)},
                "step": int(rng.integers(5, 50)),
                "best_params": {"W": rng.standard_normal((2, 3)), "b": rng.standard_normal(3)},
                "best_loss": best,
                "waited": waited,
            },
            loss,
        )


def oracle(run, loss):
    new = {"params": run["params"], "step": run["step"]}
    better = loss < run["best_loss"]  # False for a loss that is no number
    new["best_loss"] = min([run["best_loss"], loss], key=lambda x: x if x == x else float("inf"))
    new["best_params"] = run["params"] if better else run["best_params"]
    new["waited"] = 0 if better else run["waited"] + 1
    return new
