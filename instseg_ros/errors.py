"""The one exception that no built-in says well enough."""
from __future__ import annotations


class UserError(Exception):
    """Something the person at the keyboard can put right; its text is the whole message.

    Bad values and files are `ValueError` and `OSError`; this is for everything else, for example
    another program that failed. The `instseg` command prints all three as one sentence.
    """
