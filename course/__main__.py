"""`python -m course` is the `course` command."""

from course.cli import app

if __name__ == "__main__":  # workers import this module too
    app(prog_name="course")
