"""The served controller of the API's tests, for OpenNebula's clients."""

import asyncio
import importlib.util
import sys
import xmlrpc.client
from collections.abc import Callable
from pathlib import Path

import pyone
import pytest

_SPEC = importlib.util.spec_from_file_location("api_site", Path(__file__).parents[1] / "api" / "conftest.py")
api_site = sys.modules.setdefault("api_site", importlib.util.module_from_spec(_SPEC))
_SPEC.loader.exec_module(api_site)


class Caller:
    """OpenNebula's own client for Python, away from the loop."""

    def __init__(self, site) -> None:
        self.site = site

    def client(self, session: str, path: str = "/RPC2") -> pyone.OneServer:
        return pyone.OneServer(f"http://127.0.0.1:{self.site.port}{path}", session=session)

    async def ask(self, method: str, *arguments, session: str = "admin:admin-token"):
        """Call as pyone does."""

        def call():
            found = self.client(session)
            for word in method.split("."):
                found = getattr(found, word)
            return found(*arguments)

        return await asyncio.to_thread(call)

    async def plain(self, method: str, *arguments, session: str = "admin:admin-token", path: str = "/RPC2"):
        """Return the answer's elements."""
        body = xmlrpc.client.dumps((session, *arguments), method).encode()
        answer = await self.site.ask("POST", path, token="", body=body)
        return xmlrpc.client.loads(answer.body)[0][0]


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., None]:
    """Run a scenario against a new controller; it gets the site and a caller."""

    def serve(scenario, **options) -> None:
        async def run() -> None:
            async with api_site.site_in(tmp_path, **options) as site:
                await scenario(site, Caller(site))

        asyncio.run(run())

    return serve
