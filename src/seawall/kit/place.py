"""Place: where something was written. Pure."""

import msgspec


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A position in a file as an editor shows it: both numbers start at 1; 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"
