"""Probe: one keep-alive connection that asks again and again, and writes down every answer.

A socket and a few lines instead of an HTTP library: what it costs must not show in what it measures.
"""

import contextlib
import socket
import time
from collections import Counter

from bench.support.programs import Failure

PAUSE = 0.001
"""At most so long between two questions: the resolution of what is measured."""
_PATIENCE = 60.0


class Probe:
    """Asks one port. `reconnects` counts how often the other side closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self.reconnects = 0

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ask(self, host: str, path: str = "/") -> int:
        """Return the status of the answer; 0 if the connection broke instead."""
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        try:
            if self._socket is None:
                self._socket = socket.create_connection(("127.0.0.1", self._port), 10)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall(request)
            head, body = self._head(self._socket)
        except OSError:
            self.close()
            self.reconnects += 1
            return 0
        length = head.partition(b"content-length:")[2].split(b"\r\n", 1)[0].strip()
        missing = int(length or b"0") - len(body)
        with contextlib.suppress(OSError):
            while missing > 0:
                missing -= len(self._socket.recv(65536))
        if b"connection: close" in head:
            self.close()
        return int(head[9:12])

    def until_live(self, host: str, begun: float) -> tuple[float, Counter[int]]:
        """Ask until the first 200; return the seconds since `begun` and every other answer that came."""
        others: Counter[int] = Counter()
        while True:
            asked = time.perf_counter()
            status = self.ask(host)
            now = time.perf_counter()
            if status == 200:
                return now - begun, others
            others[status] += 1
            if now - begun > _PATIENCE:
                raise Failure(f"{host} was not live {_PATIENCE:g} s after it was written; answers were {dict(others)}.")
            time.sleep(max(0.0, asked + PAUSE - now))

    @staticmethod
    def _head(connection: socket.socket) -> tuple[bytes, bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                raise ConnectionResetError
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        return head.lower(), body
