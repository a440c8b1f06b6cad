"""The errors of rovy, split by who has to act.

`UsageError`: our caller is wrong. `Malformed`: a peer, a file or a person sent something that
does not parse or does not verify. `Unreachable`: nobody is wrong, the other side cannot be
reached now.
"""


class RovyError(Exception):
    """Root of every error that rovy raises on purpose."""


class UsageError(RovyError):
    """The caller used rovy in a way that cannot work; the message says what to do instead."""


class Malformed(RovyError):
    """Bytes or text from outside that do not parse, or that fail a check on their content."""


class Unreachable(RovyError):
    """A node did not answer; `reason` is a short stable word for programs, the text for people."""

    def __init__(self, reason: str, text: str = "") -> None:
        super().__init__(text or reason)
        self.reason = reason
