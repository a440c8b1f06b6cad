"""Where files are kept unless somebody says otherwise.

For root the places of a system service, for anybody else those of the XDG base directory
specification. The environment is an argument: only the programs' mains read it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SYSTEM_SOCKET = Path("/run/rovy/rovyd.sock")


@dataclass(frozen=True, slots=True)
class Places:
    """Default places of one user."""

    home: Path
    """What `~` stands for."""
    config_file: Path
    state_dir: Path
    socket: Path

    @classmethod
    def of(cls, uid: int, environment: Mapping[str, str], home: Path) -> "Places":
        """The places of a user. `home` is used where the environment names none."""
        if uid == 0:
            return cls(home, Path("/etc/rovy/rovy.toml"), Path("/var/lib/rovy"), SYSTEM_SOCKET)
        home = _directory(environment, "HOME", home)
        config = _directory(environment, "XDG_CONFIG_HOME", home / ".config")
        state = _directory(environment, "XDG_STATE_HOME", home / ".local/state") / "rovy"
        # Without a runtime directory the state directory serves: it is as private.
        runtime = _directory(environment, "XDG_RUNTIME_DIR", state)
        socket = (runtime if runtime == state else runtime / "rovy") / "rovyd.sock"
        return cls(home, config / "rovy/rovy.toml", state, socket)

    def found_socket(self) -> Path:
        """The socket to talk to: the user's own, else that of a system service if there is one."""
        system = SYSTEM_SOCKET
        return system if not _exists(self.socket) and _exists(system) else self.socket


def _directory(environment: Mapping[str, str], name: str, default: Path) -> Path:
    """The specification has relative paths ignored."""
    path = Path(environment.get(name, ""))
    return path if path.is_absolute() else default


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True  # hidden from us; connecting says why
