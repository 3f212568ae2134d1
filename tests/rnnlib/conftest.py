"""Settings of the library's tests: Hypothesis draws the same examples on every run, torch uses one thread."""

import numpy as np
import pytest
import torch
from hypothesis import settings

settings.register_profile("rnnlib", derandomize=True, database=None, deadline=None, max_examples=40)
settings.load_profile("rnnlib")
torch.set_num_threads(1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240417)
