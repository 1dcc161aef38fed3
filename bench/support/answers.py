"""Answers: a backend in threads of our own, for the measurements that send it a few requests only.

So that they need no other program than Envoy. Under load the backend is nginx (`support.load`).
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


@contextmanager
def answering() -> Iterator[int]:
    """Answer every request (without a body) with 200; gives the port. On all loopback addresses: endpoints move there."""
    with socket.create_server(("0.0.0.0", 0), backlog=128) as listening:
        threading.Thread(target=_accept, args=(listening,), name="answers", daemon=True).start()
        yield int(listening.getsockname()[1])
        # Wakes the thread that waits for a connection.
        listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_answer, args=(connection,), name="answer", daemon=True).start()


def _answer(connection: socket.socket) -> None:
    data = b""
    with connection, contextlib.suppress(OSError):
        while more := connection.recv(65536):
            data += more
            while b"\r\n\r\n" in data:
                data = data.partition(b"\r\n\r\n")[2]
                connection.sendall(_ANSWER)
