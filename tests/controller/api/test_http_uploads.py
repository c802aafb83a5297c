"""Uploads over HTTP."""

import asyncio
import hashlib

CONTENT = bytes(range(256)) * 8192
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def spooled(site) -> list[str]:
    return sorted(path.name for path in (site.directory / "uploads").iterdir())


def test_a_file_is_uploaded_and_named_by_its_digest(serve):
    async def scenario(site):
        answer = await site.ask("PUT", f"/v1/uploads?sha256={DIGEST.upper()}", body=CONTENT, token="ann")

        assert (answer.status, answer.json) == (
            200,
            {"upload_id": DIGEST, "sha256": DIGEST, "size_bytes": len(CONTENT)},
        )
        assert (site.directory / "uploads" / DIGEST).read_bytes() == CONTENT

    serve(scenario)


def test_a_chunked_body_is_taken_as_well(serve):
    async def scenario(site):
        chunks = b"".join(b"3\r\nabc\r\n" for _ in range(10)) + b"0\r\n\r\n"
        head = b"PUT /v1/uploads HTTP/1.1\r\nAuthorization: Bearer ann-token\r\nTransfer-Encoding: chunked\r\n\r\n"
        stream = await site.raw(head + chunks)
        await stream.rest()

        assert stream.status == 200
        assert spooled(site) == [hashlib.sha256(b"abc" * 10).hexdigest()]

    serve(scenario)


def test_other_bytes_than_announced_are_refused_and_leave_nothing(serve):
    async def scenario(site):
        answer = await site.ask("PUT", f"/v1/uploads?sha256={'0' * 64}", body=CONTENT)

        assert (answer.status, answer.error["code"]) == (400, "bad_request")
        assert DIGEST in answer.error["message"]
        assert spooled(site) == []

    serve(scenario)


def test_a_file_that_is_too_long_is_refused_before_it_comes(serve):
    async def scenario(site):
        headers = {"Content-Length": "3000001", "Expect": "100-continue"}
        answer = await site.ask("PUT", "/v1/uploads", headers=headers)

        assert (answer.status, answer.error["code"], answer.headers["connection"]) == (413, "too_large", "close")
        assert spooled(site) == []

    serve(scenario)


def test_a_file_that_turns_out_too_long_is_refused_and_leaves_nothing(serve):
    async def scenario(site):
        body = b"".join(b"100000\r\n" + bytes(0x100000) + b"\r\n" for _ in range(4))
        head = b"PUT /v1/uploads HTTP/1.1\r\nAuthorization: Bearer ann-token\r\nTransfer-Encoding: chunked\r\n\r\n"
        stream = await site.raw(head + body)

        assert stream.status == 413
        assert spooled(site) == []

    serve(scenario)


def test_an_upload_that_breaks_off_leaves_nothing(serve):
    async def scenario(site):
        head = b"PUT /v1/uploads HTTP/1.1\r\nAuthorization: Bearer ann-token\r\nContent-Length: 3000000\r\n\r\n"
        _, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(head + CONTENT)
        await site.until(lambda: spooled(site))
        writer.close()
        await site.until(lambda: not spooled(site))

    serve(scenario)


def test_strangers_upload_nothing(serve):
    async def scenario(site):
        answer = await site.ask("PUT", "/v1/uploads", body=b"abc", token="")

        assert answer.status == 401
        assert spooled(site) == []

    serve(scenario)
