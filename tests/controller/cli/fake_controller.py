"""A controller that says what a test tells it to say, over real HTTP, and remembers what it was asked."""

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body) if self.body else None

    @property
    def line(self):
        return f"{self.method} {self.target}"


@dataclass
class Say:
    """What to answer."""

    body: object = None
    status: int = 200
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    #: Sent one by one in a chunked answer, in place of ``body``.
    chunks: list[bytes] | None = None
    #: Close the connection without a word.
    hang_up: bool = False
    #: Set once the chunks are sent; the answer ends when it is set by the test.
    hold: threading.Event | None = None


def refused(code, message, *, status=409, **more):
    """Return a refusal as the API makes it."""
    return Say({"error": {"code": code, "message": message, **more}}, status=status)


class FakeController:
    """Answers ``{"GET /v1/vms": ...}``: a value, a ``Say``, several in turn, or a function of what was asked."""

    def __init__(self):
        self.answers = {}
        self.asked = []
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.fake = self
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def lines(self):
        """What was asked, one line each, without the query string of waits."""
        return [asked.line for asked in self.asked]

    def answer_for(self, asked):
        path = asked.target.partition("?")[0]
        answer = self.answers.get(asked.line, self.answers.get(f"{asked.method} {path}"))
        if isinstance(answer, list) and answer and isinstance(answer[0], Say):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Callable):
            answer = answer(asked)
        if answer is None:
            return refused("not_found", f"The test has no answer for {asked.line}.", status=404)
        return answer if isinstance(answer, Say) else Say(answer)


class Server(ThreadingHTTPServer):
    """Says nothing of clients that go away: that is what many tests do."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Hands every request to the fake, and says what it answers."""

    protocol_version = "HTTP/1.1"
    #: Head and body of an answer are two packets, of which the second would wait for 40 ms.
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def answer(self):
        length = int(self.headers.get("Content-Length", 0))
        asked = Asked(self.command, self.path, dict(self.headers), self.rfile.read(length))
        self.server.fake.asked.append(asked)
        say = self.server.fake.answer_for(asked)
        if say.hang_up:
            self.close_connection = True
        elif say.chunks is not None:
            self.stream(say)
        else:
            self.whole(say)

    def begin(self, say, name, value):
        self.send_response(say.status)
        self.send_header("Content-Type", say.kind)
        for each in [(name, value), *say.headers.items()]:
            self.send_header(*each)
        self.end_headers()

    def whole(self, say):
        body = say.body if isinstance(say.body, bytes) else json.dumps(say.body).encode()
        self.begin(say, "Content-Length", str(len(body)))
        self.wfile.write(body)

    def stream(self, say):
        self.begin(say, "Transfer-Encoding", "chunked")
        try:
            for chunk in say.chunks:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                self.wfile.flush()
            if say.hold is not None:
                say.hold.wait(10)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the library calls them so
