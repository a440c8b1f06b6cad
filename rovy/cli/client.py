"""HTTP over the daemon's Unix socket, and what to do when that does not work."""

import errno
import json
import os
import socket
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from rovy.config.places import SYSTEM_SOCKET
from rovy.errors import RovyError

PATIENCE: Final = 10.0
"""Seconds for the daemon to answer what takes it no time."""


class Failed(RovyError):
    """The daemon refused, or cannot be reached."""

    def __init__(
        self,
        reason: str,
        message: str,
        remedy: str = "",
        *,
        usage: bool = False,
        passing: bool = False,
        steps: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.reason, self.message, self.remedy, self.usage = reason, message, remedy, usage
        self.passing = passing
        """Whether the same may work a moment later: another node could not be reached."""
        self.steps = list(steps)
        """Of the lookup that failed."""

    def document(self) -> dict[str, Any]:
        """The error as the API has it."""
        error = {"reason": self.reason, "message": self.message}
        document = {"error": {**error, "remedy": self.remedy} if self.remedy else error}
        return {**document, "steps": self.steps} if self.steps else document


class UnixConnection(HTTPConnection):
    """An HTTP connection over a Unix socket."""

    def __init__(self, path: Path, timeout: float | None, patience: float = PATIENCE) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path, self._patience = path, patience

    def connect(self) -> None:
        """See `HTTPConnection`."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self._patience)
        self.sock.connect(os.fspath(self._path))
        self.sock.settimeout(self.timeout)


class Client:
    """The daemon behind a socket; one connection, kept open."""

    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        self.path, self._patience = path, patience
        self._connection: UnixConnection | None = None

    def call(
        self, method: str, path: str, body: object = None, *, timeout: float = PATIENCE
    ) -> dict[str, Any]:
        """One request and its answer. Raises `Failed`."""
        try:
            response = self._request(method, path, body, timeout)
            return _decode(response.status, response.read())
        except (OSError, HTTPException) as error:
            self.close()
            raise self._explained(error) from None
        except BaseException:
            self.close()
            raise

    def stream(self, path: str) -> Iterator[dict[str, Any]]:
        """The lines of an endless answer. Raises `Failed`."""
        try:
            response = self._request("GET", path, None, None)
            if response.status != 200:
                _decode(response.status, response.read())
            while line := response.readline():
                if line.strip():
                    yield json.loads(line)
        except (OSError, HTTPException) as error:
            raise self._explained(error) from None
        finally:
            self.close()

    def gone(self) -> bool:
        """Whether the daemon has removed its socket, which is the last that it does."""
        return not self.path.exists()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _request(self, method: str, path: str, body: object, timeout: float | None) -> HTTPResponse:
        if self._connection is None:
            self._connection = UnixConnection(self.path, timeout, self._patience)
        elif self._connection.sock:
            self._connection.sock.settimeout(timeout)
        headers = {"Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        self._connection.request(method, "/v1" + path, data, headers)
        return self._connection.getresponse()

    def _explained(self, error: Exception) -> Failed:
        where = str(self.path)
        match error:
            case FileNotFoundError() | NotADirectoryError():
                return Failed(
                    "not running",
                    f"rovyd does not run: there is no socket {where}",
                    "start it with `rovyd`, or name its socket with --socket",
                )
            case ConnectionRefusedError():
                return Failed(
                    "stale socket",
                    f"rovyd does not run: it left its socket {where} behind",
                    "start it again, with `rovyd` or `systemctl start rovyd`",
                )
            case PermissionError():
                remedy = "join the group rovy (`sudo usermod -aG rovy $USER`, then log in again)"
                if self.path != SYSTEM_SOCKET:
                    remedy = "run this as the user who runs that rovyd"
                return Failed(
                    "no permission", f"no permission to use {where}", f"{remedy}, or use sudo"
                )
            case TimeoutError():
                return Failed(
                    "no response", f"rovyd does not answer on {where}", "see its log, or restart it"
                )
            case OSError(errno=None):
                return Failed("no socket", f"{where}: {error}", "name a shorter path")
            case OSError(errno=errno.ENOTSOCK | errno.EPROTOTYPE):
                return Failed("no socket", f"{where} is not a socket of rovyd", "check --socket")
        return Failed(
            "connection lost", f"rovyd ended the connection on {where}", "see whether it still runs"
        )


def segment(text: str) -> str:
    """Text as one part of a path."""
    return quote(text, safe="")


def _decode(status: int, data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
        if status < 400 and isinstance(document, dict):
            return document
        error = document["error"]
        reason, message = str(error["reason"]), str(error["message"])
        raise Failed(
            reason,
            message,
            str(error.get("remedy", "")),
            usage=status in (400, 413),
            passing=status == 504,
            steps=document.get("steps", ()),
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        raise Failed(
            "bad answer", f"the answer with status {status} makes no sense", "check --socket"
        ) from None
