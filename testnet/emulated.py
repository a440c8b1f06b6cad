"""A lab's side of the link emulator: the process, and the links that it joins."""

import dataclasses
import json
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testnet.emulator import Counters, LinkQuality, Way
from testnet.netns import COMMAND_TIMEOUT, STOP_TIMEOUT, Host, LabError, Link, new_ends, stop

ROOT = Path(__file__).parent.parent
DEATH_GRACE = 0.5  # seconds the process may take to be gone after its socket is


class Emulation:
    """The emulator's process."""

    def __init__(self, log: Path) -> None:
        self._log = log
        ours, theirs = socket.socketpair()
        with ours, theirs, log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "testnet.emulator"],
                stdin=theirs.fileno(),
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                start_new_session=True,
            )
            ours.settimeout(COMMAND_TIMEOUT)
            self._control = ours.makefile("rwb", buffering=0)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return int(self._process.pid)

    def ask(self, do: str, **arguments: Any) -> Any:
        """Let the emulator do something; its result. `LabError` when it refuses or is dead."""
        request = json.dumps({"do": do, **arguments}).encode() + b"\n"
        try:
            self._control.write(request)
            line = self._control.readline()
        except OSError:
            line = b""
        if not line:
            raise LabError(self._death() or f"no answer from the link emulator to: {do}")
        answer = json.loads(line)
        if "error" in answer:
            raise LabError(f"the link emulator cannot {do}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        """End the process; `LabError` when it has died before."""
        death = self._death(grace=0)
        self._control.close()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            stop([self._process])
        if death:
            raise LabError(death)

    def _death(self, grace: float = DEATH_GRACE) -> str:
        try:
            status = self._process.wait(grace)
        except subprocess.TimeoutExpired:
            return ""
        return f"the link emulator died, status {status}\n{self._log.read_text()}".strip()


@dataclass(frozen=True, slots=True)
class EmulatedLink(Link):
    """A link whose quality can change at any moment; "ab" is the way from its first end."""

    emulation: Emulation
    number: int
    qualities: dict[Way, LinkQuality]

    def set(self, direction: Way | None = None, **changes: Any) -> None:
        """Change fields of `LinkQuality`, in one direction or both.

        Frames on their way keep their time, and those that follow do not overtake them.
        """
        for way in _ways(direction):
            quality = dataclasses.replace(self.qualities[way], **changes)
            self._ask("set", way=way, quality=dataclasses.asdict(quality))
            self.qualities[way] = quality

    def down(self, direction: Way | None = None, *, interfaces: bool = False) -> None:
        """Lose every frame, those on their way included; the hosts see nothing of it.

        With `interfaces` they do: those of both ends go down as well, as with a `Link`.
        """
        for way in _ways(direction):
            self._ask("cut", way=way, up=False)
        if interfaces:
            Link.down(self)

    def up(self, direction: Way | None = None) -> None:
        """Mend one direction, or both and the interfaces."""
        for way in _ways(direction):
            self._ask("cut", way=way, up=True)
        if direction is None:
            Link.up(self)

    def counters(self) -> dict[Way, Counters]:
        """What became of the frames of each direction."""
        return {way: Counters(**counters) for way, counters in self._ask("counters").items()}

    def _ask(self, do: str, **arguments: Any) -> Any:
        return self.emulation.ask(do, link=self.number, **arguments)


def emulate(
    emulation: Emulation, a: Host, b: Host, quality: LinkQuality, mtu: int, seed: int
) -> EmulatedLink:
    """Join two hosts by a pair of TAP devices without addresses, both up."""
    ends = new_ends(a, b)
    number = emulation.ask(
        "add",
        ends=[(str(host.namespace), interface) for host, interface in ends],
        quality=dataclasses.asdict(quality),
        seed=f"{seed} {ends}",
    )
    link = EmulatedLink(ends, emulation, number, {"ab": quality, "ba": quality})
    link.set_mtu(mtu)
    Link.up(link)
    return link


def _ways(direction: Way | None) -> tuple[Way, ...]:
    return ("ab", "ba") if direction is None else (direction,)
