"""The one exception that a person can mend; everything else is a bug and keeps its traceback."""


class UserError(Exception):
    """What is wrong, where, and the way out, in one sentence; printed without a traceback, exit code 1."""


class TableError(UserError):
    """A file does not hold the table that it should."""
