"""What the user can fix, as opposed to what we got wrong (an `assert`)."""


class LskdError(Exception):
    """The user can fix this: it is shown on one line, without a traceback, with exit code 2."""


def require(condition: bool, message: str) -> None:
    """Raise `LskdError(message)` unless `condition` holds."""
    if not condition:
        raise LskdError(message)
