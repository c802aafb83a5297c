import asyncio
import hashlib

import msgspec
import pytest

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.narrowing import narrowed
from innkeeper_controller.opennebula.sessions import KNOWN_FOR_S, MAX_COMPARING_OF_ONE, Sessions
from innkeeper_controller.records import LoginToken, User
from innkeeper_controller.settings import Settings
from innkeeper_controller.turn import RefusalError, Turn

_replace = msgspec.structs.replace


def token(text: str, **fields) -> LoginToken:
    return LoginToken(token_sha256=hashlib.sha256(text.encode()).hexdigest(), **fields)


class Door:
    """Sessions of a few users, whose hashes are their passwords with a mark before them."""

    def __init__(self, *, takes_sha1: bool = True) -> None:
        self.now_s = 1000.0
        self.compared: list[tuple[str, str]] = []
        self.turn = Turn(Cluster(), Settings(cluster_id="2d5a1c1e-0000-4000-8000-000000000000"), 1.0, "test")
        tokens = (token("free"), token("late", expires_at_s=2000.0), token("web", group="web"))
        self.put(User(name="ann", user_id=2, groups=("users", "web"), password="#good", tokens=tokens))
        self.put(User(name="off", user_id=3, password="#good", tokens=(token("o"),), enabled=False))
        self.put(User(name="bare", user_id=4))
        self.put(User(name="old", user_id=5, password="#good", password_sha1="#sha1"))
        self.sessions = Sessions(
            self.turn.cluster,
            clock=lambda: self.now_s,
            entropy=lambda count: b"\7" * count,
            takes_sha1=takes_sha1,
            matches=self.matches,
            decoy="#decoy",
        )

    def put(self, user: User) -> None:
        self.turn.put(user)

    def matches(self, password: str, kept: str) -> bool:
        self.compared.append((password, kept))
        return f"#{password}" == kept

    async def let(self, session: object, *, old: bool = False) -> User | str:
        try:
            return await self.sessions.user_of(session, old=old)
        except RefusalError as refusal:
            return refusal.code


def at_door(scenario, **options) -> None:
    async def run() -> None:
        door = Door(**options)
        try:
            await scenario(door)
        finally:
            door.sessions.close()

    asyncio.run(run())


REFUSED = (
    "ann:bad",
    "ann:",
    "ann",
    "",
    "ann:decoy",
    "nobody:good",
    "off:good",
    "off:o",
    "bare:",
    "bare:decoy",
    "ann:sha1",
)


@pytest.mark.parametrize("session", REFUSED)
def test_whatever_is_wrong_is_refused_alike_after_one_comparison(session: str) -> None:
    async def scenario(door: Door) -> None:
        assert await door.let(session) == "unauthenticated"
        assert len(door.compared) == 1

    at_door(scenario)


@pytest.mark.parametrize("session", [None, 5, b"ann:good", ["ann:good"], "ann:" + "x" * 5000])
def test_what_is_no_session_is_refused_without_comparing(session: object) -> None:
    async def scenario(door: Door) -> None:
        assert await door.let(session) == "unauthenticated"
        assert door.compared == []

    at_door(scenario)


def test_a_password_is_compared_once_until_it_grows_old_or_the_user_changes() -> None:
    async def scenario(door: Door) -> None:
        ann = door.turn.cluster.users["ann"]
        assert await door.let("ann:good") is ann
        assert await door.let("ann:good") is ann
        assert len(door.compared) == 1
        door.now_s += KNOWN_FOR_S
        assert await door.let("ann:good") is ann
        assert len(door.compared) == 2

        door.put(_replace(ann, password="#better"))
        assert await door.let("ann:good") == "unauthenticated"
        door.put(_replace(ann, enabled=False))
        assert door.sessions.known("ann:good") is None

    at_door(scenario)


def test_many_calls_with_one_session_make_one_comparison() -> None:
    async def scenario(door: Door) -> None:
        found = await asyncio.gather(*[door.let("ann:good") for _ in range(50)])

        assert {getattr(each, "name", each) for each in found} == {"ann"}
        assert len(door.compared) == 1

    at_door(scenario)


def test_a_token_lets_in_until_it_ends_and_only_its_own_user() -> None:
    async def scenario(door: Door) -> None:
        ann = door.turn.cluster.users["ann"]
        assert await door.let("ann:free") is ann
        assert await door.let("ann:late") is ann
        assert await door.let("bare:free") == "unauthenticated"
        door.compared.clear()
        door.now_s = 2000.0
        assert await door.let("ann:late") == "unauthenticated"
        assert await door.let("ann:free") is ann

    at_door(scenario)


def test_a_token_of_a_group_lets_in_as_a_member_of_it_alone() -> None:
    async def scenario(door: Door) -> None:
        ann = door.turn.cluster.users["ann"]

        assert await door.let("ann:web") == narrowed(ann, "web")

    at_door(scenario)


def test_the_sha1_of_old_clients_is_taken_at_their_door_alone() -> None:
    async def scenario(door: Door) -> None:
        old = door.turn.cluster.users["old"]
        assert await door.let("old:sha1", old=True) is old
        assert await door.let("old:good", old=True) is old
        assert await door.let("old:sha1") == "unauthenticated"
        assert await door.let("ann:sha1", old=True) == "unauthenticated"

    at_door(scenario)


def test_no_sha1_is_taken_where_nobody_switched_that_on() -> None:
    async def scenario(door: Door) -> None:
        assert await door.let("old:sha1", old=True) == "unauthenticated"
        assert await door.let("old:good", old=True) is door.turn.cluster.users["old"]

    at_door(scenario, takes_sha1=False)


def test_who_guesses_the_password_of_one_user_keeps_no_other_out() -> None:
    async def scenario(door: Door) -> None:
        guesses = [asyncio.create_task(door.let(f"ann:{number}")) for number in range(100)]
        strangers = [asyncio.create_task(door.let(f"nobody{number}:x")) for number in range(100)]
        await asyncio.sleep(0)
        assert await door.let("old:good") is door.turn.cluster.users["old"]
        codes = await asyncio.gather(*guesses)

        assert codes.count("unauthenticated") == MAX_COMPARING_OF_ONE
        assert codes.count("too_many") == 100 - MAX_COMPARING_OF_ONE
        assert (await asyncio.gather(*strangers)).count("unauthenticated") == MAX_COMPARING_OF_ONE

    at_door(scenario)
