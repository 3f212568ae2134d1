"""Submissions that are hostile or broken, each with the score that it deserves.

A module of this package for each sort of them has a list `ATTACKS`; here they are together. `test_red_team.py` grades
them all; `stock` hands them to stock nbgrader, for the comparison in the instructor's guide.
"""

import importlib
import pkgutil

from red_team.attack import Attack

SORTS = ("magics", "notebooks", "files", "design", "processes")
ATTACKS: list[Attack] = [
    attack
    for found in pkgutil.iter_modules(__path__)
    if found.name in SORTS
    for attack in importlib.import_module(f"{__name__}.{found.name}").ATTACKS
]

__all__ = ["ATTACKS"]
