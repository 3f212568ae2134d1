"""Grading submissions that nobody should trust: a kernel in a sandbox, and a referee outside it."""

import sys

# jsonschema, which nbformat brings, takes this grammar of web addresses if it can. Building it takes 0.9 s in every
# process; no notebook needs it.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
