"""Events over HTTP: live, again after a break, in pages, and only one's own."""

import asyncio
import json

import pytest

from innkeeper_controller.api.feed import Feed
from innkeeper_controller.records import Event
from innkeeper_controller.store.archive import EVERYTHING, EventFilter
from innkeeper_controller.store.rows import Transaction

SSE = {"Accept": "text/event-stream"}


async def numbers(stream, count: int) -> list[int]:
    return [int((await stream.event())["id"]) for _ in range(count)]


def test_events_are_told_as_they_happen(serve):
    async def scenario(site):
        stream = await site.open("GET", "/v1/events", headers=SSE)
        begun = await stream.event()
        vm_id = await site.submit()
        told = await stream.event()

        assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert begun == {"comment": "connected"}
        assert told["event"] == "vm.submitted"
        assert json.loads(told["data"])["subject"] == f"vm:{vm_id}"
        assert json.loads(told["data"])["seq"] == int(told["id"])

    serve(scenario)


def test_a_follower_goes_on_where_it_was(serve):
    async def before(site):
        for _ in range(3):
            await site.submit()

    async def after(site):
        await site.submit()
        events = (await site.ask("GET", "/v1/events/past")).json
        seqs = [event["seq"] for event in events]
        for headers, query in (({"Last-Event-ID": str(seqs[2])}, ""), ({}, f"?after={seqs[2]}")):
            stream = await site.open("GET", f"/v1/events{query}", headers=SSE | headers)
            await stream.event()
            assert await numbers(stream, len(seqs) - 3) == seqs[3:]
            await site.submit()
            (newest,) = await numbers(stream, 1)
            assert newest == max(seqs) + 1
            seqs.append(newest)

    serve(before)
    serve(after)


def test_followers_get_what_they_ask_for(serve):
    async def scenario(site):
        first, second = await site.submit(), await site.submit()
        only = await site.open("GET", f"/v1/events?subject=vm:{second}&after=0", headers=SSE)
        states = await site.open("GET", "/v1/events?what=vm.state&after=0", headers=SSE)
        await site.ask("POST", f"/v1/vms/{first}/hold", {}, token="ann")
        await site.ask("POST", f"/v1/vms/{second}/hold", {}, token="ann")
        await only.event()
        await states.event()
        told = [json.loads((await only.event())["data"]) for _ in range(2)]

        assert [(event["what"], event["subject"]) for event in told] == [
            ("vm.submitted", f"vm:{second}"),
            ("vm.state", f"vm:{second}"),
        ]
        assert [json.loads((await states.event())["data"])["subject"] for _ in range(2)] == [
            f"vm:{first}",
            f"vm:{second}",
        ]

    serve(scenario)


def test_people_see_what_is_theirs_and_administrators_see_everything(serve):
    async def scenario(site):
        stream = await site.open("GET", "/v1/events", headers=SSE, token="ann")
        await stream.event()
        bobs, anns = await site.submit("bob"), await site.submit("ann")
        told = json.loads((await stream.event())["data"])

        assert told["subject"] == f"vm:{anns}"
        for token, seen in (("ann", {f"vm:{anns}"}), ("bob", {f"vm:{bobs}"})):
            events = (await site.ask("GET", "/v1/events/past", token=token)).json
            assert {event["subject"] for event in events} == seen
        everything = (await site.ask("GET", "/v1/events/past")).json
        assert {event["subject"] for event in everything} >= {f"vm:{anns}", f"vm:{bobs}", "controller"}
        assert "admin-token" not in json.dumps(everything)

    serve(scenario)


def test_the_past_is_read_in_pages(serve):
    async def scenario(site):
        for _ in range(5):
            await site.submit()
        newest = (await site.ask("GET", "/v1/events/past?limit=2&subject=vm:4")).json
        whole = (await site.ask("GET", "/v1/events/past")).json
        by_json = (await site.ask("GET", "/v1/events", headers={"Accept": "application/json"})).json
        page = (await site.ask("GET", f"/v1/events/past?after={whole[1]['seq']}&limit=2")).json

        assert [event["subject"] for event in newest] == ["vm:4"]
        assert whole == by_json
        assert page == whole[2:4]

    serve(scenario)


def test_a_vm_has_its_history_and_its_log_after_its_end(serve):
    async def scenario(site):
        vm_id = await site.submit()
        await site.ask("POST", f"/v1/vms/{vm_id}/terminate", {}, token="ann")
        history = await site.ask("GET", f"/v1/vms/{vm_id}/history", token="ann")
        log = await site.ask("GET", f"/v1/vms/{vm_id}/log", token="ann")
        refused = [
            await site.ask("GET", f"/v1/vms/{vm_id}/history", token="bob"),
            await site.ask("GET", "/v1/vms/99/log"),
            await site.ask("GET", "/v1/vms/x/log"),
            await site.ask("GET", f"/v1/vms/{vm_id}/history?subject=vm:1"),
        ]

        assert history.json[0]["what"] == "vm.submitted"
        assert {event["subject"] for event in history.json} == {f"vm:{vm_id}"}
        assert (log.status, log.json) == (200, [])
        assert [answer.status for answer in refused] == [403, 404, 400, 400]

    serve(scenario)


@pytest.mark.parametrize(
    "query",
    ["limit=x", "limit=1001", "limit=-1", "after=1e3", "after=99999999999999999999", "what=%00", "nothing=1"],
)
def test_a_wrong_query_is_refused(serve, query):
    async def scenario(site):
        answer = await site.ask("GET", f"/v1/events/past?{query}")

        assert (answer.status, answer.error["code"]) == (400, "bad_request")
        assert answer.error["mistakes"][0]["field"] == query.partition("=")[0]

    serve(scenario)


def test_a_wrong_last_event_id_is_refused(serve):
    async def scenario(site):
        answer = await site.ask("GET", "/v1/events", headers=SSE | {"Last-Event-ID": "x"})

        assert answer.status == 400

    serve(scenario)


class FakeReading:
    """A store that holds every event there ever was."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.reads = 0

    async def events(self, *, after: int, limit: int, wanted: EventFilter):
        self.reads += 1
        found = [(event, "") for event in self.told if event.seq > after and wanted.accepts(event, "")]
        return found[:limit]


def happen(feed: Feed, reading: FakeReading, *subjects: str) -> None:
    first = len(reading.told) + 1
    events = [Event(what="it.happened", subject=subject, at_s=0.0) for subject in subjects]
    reading.told += [
        Event(what=each.what, subject=each.subject, at_s=0.0, seq=first + n) for n, each in enumerate(events)
    ]
    feed.watch([Transaction((), events, [""] * len(events), first)])


def test_a_follower_that_fell_behind_misses_nothing_and_gets_nothing_twice():
    async def scenario() -> None:
        reading = FakeReading()
        feed = Feed(reading, ring_length=4)
        happen(feed, reading, *["a"] * 1200)
        following = feed.follow(0, EVERYTHING, quiet_s=60.0)
        seen = [(await anext(following)).seq for _ in range(700)]
        happen(feed, reading, *["a"] * 100)
        seen += [(await anext(following)).seq for _ in range(600)]
        reads = reading.reads
        happen(feed, reading, "a")
        seen.append((await anext(following)).seq)

        assert seen == list(range(1, 1302))
        assert reading.reads == reads
        await following.aclose()
        assert feed.followers == 0

    asyncio.run(scenario())


def test_what_a_follower_does_not_want_is_passed_over_without_end():
    async def scenario() -> None:
        reading = FakeReading()
        feed = Feed(reading, ring_length=4)
        happen(feed, reading, *["other"] * 20)
        following = feed.follow(0, EventFilter(subject="mine"), quiet_s=60.0)
        first = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        happen(feed, reading, "mine")

        assert (await first).seq == 21
        await following.aclose()

    asyncio.run(scenario())


def test_a_quiet_feed_shows_that_it_is_alive_and_a_closed_one_ends():
    async def scenario() -> None:
        feed = Feed(FakeReading())
        following = feed.follow(None, EVERYTHING, quiet_s=0.001)

        assert await anext(following) is None
        feed.close()
        with pytest.raises(StopAsyncIteration):
            await anext(following)

    asyncio.run(scenario())
