"""A server that speaks just enough RESP2 to answer `knit` with what a test wrote down."""

import socketserver
import threading


def encode(value):
    """Python values as RESP2; a dict as the flat array that RESP2 has for a map."""
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, Exception):
        return b"-%s\r\n" % str(value).encode()
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"$%d\r\n%s\r\n" % (len(value), value)
    if isinstance(value, dict):
        value = [item for pair in value.items() for item in pair]
    return b"*%d\r\n" % len(value) + b"".join(encode(item) for item in value)


def read_command(stream):
    header = stream.readline()
    if not header:
        return None
    words = []
    for _ in range(int(header[1:])):
        size = int(stream.readline()[1:])
        words.append(stream.read(size + 2)[:-2])
    return words


class FakeDaemon:
    """`answers` maps the words of a command, joined by spaces, to a value or to a function of the words.

    The longest beginning that is known decides. An answer of type bytearray is sent as it is, and the
    connection closed.
    """

    def __init__(self, path, answers):
        self.answers = answers
        self.commands = []
        daemon = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while (words := read_command(self.rfile)) is not None:
                    daemon.commands.append(words)
                    answer = daemon.answer(words)
                    if isinstance(answer, bytearray):
                        self.wfile.write(answer)
                        return
                    self.wfile.write(encode(answer))

        self.server = socketserver.ThreadingUnixStreamServer(path, Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, words):
        for length in range(len(words), 0, -1):
            name = b" ".join(words[:length]).decode(errors="replace")
            if name in self.answers:
                answer = self.answers[name]
                return answer(words) if callable(answer) else answer
        return Exception("ERR unknown command '%s'" % words[0].decode(errors="replace"))

    def close(self):
        self.server.shutdown()
        self.server.server_close()
