"""rnnlib: recurrent neural networks in NumPy, small enough to read in an afternoon.

Parameters are dictionaries of arrays, a state is a tuple of arrays, a cell is three pure functions
(`init`, `step`, `step_backward`), and everything that walks along a sequence takes any cell.
Arrays are time-major, `(T, B, D)`, unless a docstring says otherwise; T steps, B sequences in the
batch, D inputs, H hidden units, K outputs. The dtype of what you hand in is kept.
Every public docstring names the chapter of the course that introduces the function.
"""
