"""The tooling of the course: builds, checks, stages, grades."""
