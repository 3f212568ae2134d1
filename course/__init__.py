"""The tooling of the course: builds, checks, stages, grades."""


def load_ipython_extension(shell):  # `%load_ext course` in a notebook
    """Give the notebook `%chapter` and `%%implement`."""
    from course.implement import register

    register(shell)
