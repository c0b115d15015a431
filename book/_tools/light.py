"""Imported before nbformat, this saves three seconds of each start.

jsonschema, with which nbformat checks notebooks, would compile the grammars of all kinds of URIs.
Neither notebooks nor settings are checked by one, and jsonschema does without what is not there.
"""

import sys

sys.modules["rfc3987_syntax"] = None
