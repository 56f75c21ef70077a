"""Follow the journal of a run, also while it is written, without holding its texts in memory.

For viewers: takes no lock and changes nothing. Events come with the heads of long texts only; `read` gives a whole
event by its number.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

from runs.events.registry import Event
from runs.journal import EVENTS
from runs.serialization import JournalDamaged, JournalError, JournalMissing, LineReader, read_alone


class JournalFollower:
    """The events of one run, oldest first, as far as they are written.

    `damage`, where set, says why nothing after the last event can be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damage = ""
        self._path = folder / EVENTS
        self._reader = LineReader(self._path, is_whole=False)
        self._offsets = array("Q")
        self._end = 0

    @property
    def count(self) -> int:
        """How many events were read."""
        return len(self._offsets)

    @property
    def size(self) -> int:
        """Bytes of the journal that were read."""
        return self._end

    def read_new(self) -> Iterator[Event]:
        """The events that were added since the last call. Raises `JournalMissing`, `JournalVersion`."""
        if self.damage:
            return
        try:
            file = self._path.open("rb")
        except OSError as error:
            raise JournalMissing(f"The journal {self._path} cannot be read: {error.strerror}") from error
        with file:
            file.seek(self._end)
            for line in file:
                if not line.endswith(b"\n") or (b"\0" in line and not file.peek(1)):
                    return
                try:
                    event = self._reader.read(line)
                except JournalDamaged as error:
                    self.damage = str(error)
                    return
                self._offsets.append(self._end)
                self._end += len(line)
                yield event

    def read(self, seq: int) -> Event:
        """One event with its whole texts. Raises `JournalError` if there is none with this number."""
        if not 0 <= seq < len(self._offsets):
            raise JournalError(f"{self.folder.name} has no event {seq}; it has {len(self._offsets)}")
        with self._path.open("rb") as file:
            file.seek(self._offsets[seq])
            return read_alone(file.readline(), self.folder, self._reader.format)

    def lines(self, first: int = 0) -> Iterator[tuple[int, bytes]]:
        """The number and the raw line of each event that was read, from `first` on."""
        if first >= len(self._offsets):
            return
        with self._path.open("rb") as file:
            file.seek(self._offsets[first])
            for seq in range(first, len(self._offsets)):
                yield seq, file.readline()
