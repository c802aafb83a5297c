"""Images from URLs: on the operator's terms, whatever the server says."""

import contextlib
import http.server
import socket
import threading

import pytest

from innkeeper_hostagent.addresses import parse_networks
from innkeeper_hostagent.downloads import Terms, chunks
from innkeeper_plugins.errors import DriverError

LOOPBACK = parse_networks(["127.0.0.0/8"])
BODY = bytes(range(256)) * 8192


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answer = getattr(self, f"answer_{self.path.strip('/').partition('?')[0]}", None)
        if answer is None:
            self.send_error(404)
        else:
            answer()

    def answer_image(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(BODY)

    def answer_endless(self):
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(100):
                self.wfile.write(BODY)

    def answer_cut(self):
        self.send_response(200)
        self.send_header("Content-Length", str(2 * len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def answer_moved(self):
        self.to("/image")

    def answer_loop(self):
        self.to("/loop")

    def answer_inside(self):
        self.to("http://10.0.0.1/image")

    def answer_file(self):
        self.to("file:///etc/passwd")

    def answer_zipped(self):
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.end_headers()

    def to(self, location):
        self.send_response(302)
        self.send_header("Location", location)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def terms(**values):
    defaults = {"private_networks": LOOPBACK, "max_bytes": 10 * len(BODY), "timeout_s": 60.0}
    return Terms(**(defaults | values))


def fetched(url, **values):
    totals = []
    return b"".join(chunks(url, terms(**values), totals.append)), totals


def refused(url, **values):
    with pytest.raises(DriverError) as refusal:
        fetched(url, **values)
    return refusal.value.code, str(refusal.value)


def test_an_image_arrives_with_its_length_and_through_a_redirect(site):
    assert fetched(f"{site}/image") == (BODY, [len(BODY)])
    assert fetched(f"{site}/moved?x=1") == (BODY, [len(BODY)])


def test_private_addresses_are_refused_by_default_and_the_answer_says_how_to_allow_them(site):
    code, message = refused(f"{site}/image", private_networks=())

    assert code == "refused"
    assert "private_networks" in message


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/b", "gopher://a", "http://", "image", "http://u:p@h/x"])
def test_only_plain_http_and_https_urls_are_taken(url):
    assert refused(url)[0] == "refused"


@pytest.mark.parametrize("path", ["inside", "file", "loop"])
def test_a_redirect_is_checked_as_the_url_itself(site, path):
    assert refused(f"{site}/{path}")[0] == "refused"


def test_a_name_with_any_private_address_is_refused_as_a_whole():
    def resolve(*_args, **_options):
        return [(0, 0, 0, "", ("1.1.1.1", 80)), (0, 0, 0, "", ("127.0.0.1", 80))]

    assert refused("http://rebinding.example/x", private_networks=(), resolve=resolve)[0] == "refused"


def test_the_connection_goes_to_the_address_that_was_checked(site):
    """The name is resolved once; what it would resolve to the second time does not matter."""
    answers = [[(0, 0, 0, "", ("127.0.0.1", 0))]]
    port = site.rpartition(":")[2]

    body, _ = fetched(f"http://changing.example:{port}/image", resolve=lambda *_, **__: answers.pop(0))

    assert body == BODY


def test_a_name_that_does_not_resolve_is_told():
    def resolve(*_args, **_options):
        raise socket.gaierror("no such host")

    assert refused("http://nowhere.example/x", resolve=resolve) == (
        "tool_failed",
        "nowhere.example cannot be resolved: no such host",
    )


def test_too_much_is_refused_by_its_declared_length_and_without_one_when_it_comes(site):
    assert refused(f"{site}/image", max_bytes=1000)[0] == "refused"
    assert refused(f"{site}/endless", max_bytes=3 * len(BODY))[0] == "refused"


def test_a_download_that_is_cut_off_fails(site):
    assert refused(f"{site}/cut")[0] == "tool_failed"


def test_a_download_has_a_deadline(site):
    assert refused(f"{site}/endless", timeout_s=-1.0)[0] == "timeout"


def test_an_error_of_the_server_is_told_in_its_words(site):
    assert refused(f"{site}/nothing") == ("tool_failed", f"{site}/nothing answers 404 Not Found")


def test_an_encoding_that_was_not_asked_for_is_refused(site):
    assert refused(f"{site}/zipped")[0] == "refused"


def test_nobody_listening_is_an_error_of_the_step():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert refused(f"http://127.0.0.1:{unused.getsockname()[1]}/x")[0] == "tool_failed"
