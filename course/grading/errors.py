"""Why a grading run stops before its end, in words for people, with the exit code of the command.

0  every submission has its result
1  some submissions could not be graded, and say why; the next run tries them again
2  the call cannot be carried out: no such assignment, no submissions, options that do not fit
3  submissions cannot be run safely here: no bubblewrap
4  the gradebook or the journal cannot be used: locked, not reachable, of another version, no space
5  the workers are lost: the scheduler does not answer, or has another version of the course
6  the tests fail for the course's own answers
130  interrupted; the next run goes on from there
"""

__all__ = ["FAILED", "GRADEBOOK", "INTERRUPTED", "MISUSED", "TESTS", "UNSAFE", "WORKERS", "Stopped"]

FAILED, MISUSED, UNSAFE, GRADEBOOK, WORKERS, TESTS, INTERRUPTED = 1, 2, 3, 4, 5, 6, 130


class Stopped(Exception):
    """Grading cannot go on; the message says why and what to do."""

    def __init__(self, message: str, code: int = MISUSED) -> None:
        super().__init__(message)
        self.code = code
