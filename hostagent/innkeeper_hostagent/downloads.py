"""Fetches an image from a URL, on this operator's terms: http or https, public addresses, a limit on everything.

A name is resolved once and the connection goes to the address that was checked; each redirect is checked afresh.
What the bytes are, others find out.
"""

import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urljoin, urlsplit

from innkeeper_hostagent.addresses import Network, is_allowed
from innkeeper_plugins.errors import DriverError

MAX_REDIRECTS: Final = 5
_CHUNK_BYTES: Final = 1024 * 1024
#: A server that says nothing for so long is gone.
_SILENCE_S: Final = 30.0
_PORTS: Final = {"http": 80, "https": 443}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OK: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a download may do."""

    private_networks: tuple[Network, ...] = ()
    max_bytes: int
    timeout_s: float
    #: Finds the addresses of a name, as ``socket.getaddrinfo`` does.
    resolve: Callable[..., Sequence[tuple[Any, ...]]] = socket.getaddrinfo  # Any: as the standard library has it


def chunks(url: str, terms: Terms, total: Callable[[int], None]) -> Iterator[bytes]:
    """Yield what the URL has, in pieces of at most 1 MiB.

    Args:
        url: Where the user says that the image is.
        terms: What is allowed.
        total: Told the length in bytes once, 0 where the server does not say.

    Raises:
        DriverError: ``refused`` where the terms forbid it, ``timeout``, or ``tool_failed`` with the server's words.
    """
    deadline_s = time.monotonic() + terms.timeout_s
    try:
        response = _follow(url, terms)
        with response:
            length = response.length or 0
            if length > terms.max_bytes:
                raise _too_long(url, terms)
            total(length)
            yield from _bounded(response, url, terms, deadline_s)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DriverError(f"cannot fetch {url}: {error or type(error).__name__}") from error


def _bounded(response: http.client.HTTPResponse, url: str, terms: Terms, deadline_s: float) -> Iterator[bytes]:
    expected, received = response.length, 0
    while chunk := response.read(_CHUNK_BYTES):
        received += len(chunk)
        if received > terms.max_bytes:
            raise _too_long(url, terms)
        if time.monotonic() > deadline_s:
            raise DriverError(f"{url} was not done after {terms.timeout_s:.0f} s", code="timeout")
        yield chunk
    if expected is not None and received < expected:
        raise DriverError(f"{url} ended after {received} of {expected} bytes; retry")


def _too_long(url: str, terms: Terms) -> DriverError:
    return DriverError(
        f"{url} is longer than {terms.max_bytes} bytes; raise max_mib in [import] of agent.toml", code="refused"
    )


def _follow(url: str, terms: Terms) -> http.client.HTTPResponse:
    for _ in range(MAX_REDIRECTS + 1):
        response = _ask(_parse(url), terms)
        if response.status in _REDIRECTS and (location := response.getheader("Location")):
            response.close()
            url = urljoin(url, location)
            continue
        if response.status != _OK:
            response.close()
            raise DriverError(f"{url} answers {response.status} {response.reason}")
        if response.getheader("Content-Encoding", "identity") != "identity":
            response.close()
            raise DriverError(f"{url} answers in an encoding that was not asked for", code="refused")
        return response
    raise DriverError(f"{url} is behind more than {MAX_REDIRECTS} redirects", code="refused")


def _parse(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise DriverError(f"{url[:200]!r} is not an http or https URL", code="refused")
    if parts.username is not None or parts.password is not None:
        raise DriverError(
            "a URL with a name or password in it is not taken: it would stand in every log", code="refused"
        )
    return parts


def _ask(parts: SplitResult, terms: Terms) -> http.client.HTTPResponse:
    assert parts.hostname is not None
    port = parts.port or _PORTS[parts.scheme]
    address = _checked_address(parts.hostname, port, terms)
    connection = _Pinned(parts.hostname, port, address=address, tls=parts.scheme == "https")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "innkeeper"}
    connection.request("GET", path, headers=headers)
    return connection.getresponse()


def _checked_address(host: str, port: int, terms: Terms) -> str:
    try:
        found = terms.resolve(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DriverError(f"{host} cannot be resolved: {error}") from error
    addresses = [str(sockaddr[0]) for *_, sockaddr in found]
    # A name with one address inside and one outside is refused as a whole: the next answer may be in another order.
    if not addresses or not all(is_allowed(address, terms.private_networks) for address in addresses):
        raise DriverError(
            f"{host} is {', '.join(addresses) or 'nowhere'}, which is not a public address; to allow it add its "
            "network to private_networks in [import] of agent.toml",
            code="refused",
        )
    return addresses[0]


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that was checked, whatever its name resolves to by now."""

    def __init__(self, host: str, port: int, *, address: str, tls: bool) -> None:
        super().__init__(host, port, timeout=_SILENCE_S)
        self._address = address
        self._tls = ssl.create_default_context() if tls else None
        self.default_port = _PORTS["https" if tls else "http"]

    def connect(self) -> None:
        sock = socket.create_connection((self._address, self.port), timeout=_SILENCE_S)
        self.sock = self._tls.wrap_socket(sock, server_hostname=self.host) if self._tls else sock
