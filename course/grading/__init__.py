"""Grading submissions that nobody should trust: a kernel in a sandbox, and a referee outside it."""
