"""What students and instructors get to see: feedback pages, the class report, exports for learning platforms.

    records.py       what gradebook and journal know of each student, read in small portions
    notebooks.py     an autograded notebook, made into plain text and pictures in which nothing can run
    feedback.py      one student's page; also as nbgrader's exporter, so `nbgrader generate_feedback` writes the same
    statistics.py    items, scores, misconceptions, times of a class
    same_answers.py  students whose answers are the same but for names and layout
    exports.py       CSV files, those of Canvas and Moodle among them
    report.py        all of it in one pass over the class

Nothing is loaded as a whole: a class of fifty thousand needs no more memory than its list of names.
"""
