"""Long runs that chapters draw from: one module for each log, all made by `course train`."""
