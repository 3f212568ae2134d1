"""nbgrader's settings for this course, read by every `nbgrader` command that is run in this folder.

The course folder is `_build/nbgrader` (source/ and release/ are made by `make exercises`); another one is
named with `--CourseDirectory.root=FOLDER`.
"""

from course.build import NBGRADER, nbgrader_config

c = get_config()  # noqa: F821  (nbgrader defines it)
c.merge(nbgrader_config(NBGRADER))
