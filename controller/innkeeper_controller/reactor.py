"""The pure heart of the controller: an event in, a turn of changes and messages out.

It owns the cluster and the scheduler; sockets, clock, disk and randomness are its shell's.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from innkeeper_controller import actions, agenda, agents, image_contents
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.deciders.plugin_troubles import PluginTroubles
from innkeeper_controller.deciders.rounds import Outcome, Rounds
from innkeeper_controller.deciders.standing import Standing
from innkeeper_controller.furniture import furnish
from innkeeper_controller.placement import bans, departures, queueing, rebalancing, scheduler
from innkeeper_controller.records import Moment, User, VmRecord
from innkeeper_controller.requests import find
from innkeeper_controller.requests.admission import admit
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.requests.table import Who
from innkeeper_controller.settings import Settings
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_hostagent.protocol.messages import AgentMessage, Hello, Join, Joined, Refused, Welcome
from innkeeper_plugins.vocabulary import HostId

_replace = msgspec.structs.replace

T = TypeVar("T")


class Reactor:
    """Reacts to requests, agents and time; every method returns the turn that the shell has to make durable."""

    def __init__(self, cluster: Cluster, settings: Settings, entropy: Callable[[int], bytes]) -> None:
        """Begin with a cluster as the store has it.

        Args:
            cluster: All records.
            settings: What the operator decided.
            entropy: ``entropy(count)`` gives random bytes, for secrets.
        """
        self.cluster = cluster
        self.settings = settings
        self._entropy = entropy
        self._scheduler = scheduler.Scheduler()
        self._plugin_troubles = PluginTroubles()
        self._outside: Rounds | None = None
        self._newest = self._turn(0.0, "")

    def _turn(self, now_s: Moment, actor: str) -> Turn:
        self._newest = Turn(self.cluster, self.settings, now_s, actor)
        return self._newest

    def take_back(self) -> None:
        """Undo what a method had done when it raised: then it has changed nothing, whatever it raised."""
        self._newest.take_back()

    def started(self, now_s: Moment) -> Turn:
        """Begin: no agent is there yet; a first start gets its first datastore."""
        turn = self._turn(now_s, "controller")
        for host in list(self.cluster.hosts.values()):
            if host.connected:
                agents.on_lost(turn, host, "the controller started")
        furnish(turn)
        turn.event("controller.started", "controller")
        return turn

    def request(
        self,
        name: str,
        params: Any,  # noqa: ANN401 - the table knows the type
        *,
        user: User | None,
        request_id: str,
        now_s: Moment,
    ) -> tuple[Turn, Any]:
        """Carry a request out.

        Raises:
            RefusalError: it is refused, and nothing has changed.
        """
        request = REQUESTS[name]
        allow(request.who, user)
        turn = self._turn(now_s, user.name if user else "")
        turn.user, turn.request_id, turn.entropy = user, request_id, self._entropy
        try:
            admit(turn, request, params)
            answer = request.handler(turn, params)
            self._follow_up(turn)
        except RefusalError as refusal:
            turn.take_back()
            raise find.hinted(turn, refusal) from None
        return turn, answer

    def look(
        self,
        name: str,
        params: Any,  # noqa: ANN401 - the table knows the type
        make: Callable[[Turn], T],
        *,
        user: User | None,
        now_s: Moment,
    ) -> T:
        """Let a request that changes nothing in, and give what ``make`` sees instead of what its handler does.

        Raises:
            RefusalError: as ``request`` does, and as ``make`` does.
        """
        request = REQUESTS[name]
        allow(request.who, user)
        turn = self._turn(now_s, user.name if user else "")
        turn.user = user
        try:
            admit(turn, request, params)
            return make(turn)
        except RefusalError as refusal:
            raise find.hinted(turn, refusal) from None

    def joined(self, public_key: str, message: Join, now_s: Moment) -> tuple[Turn, Joined | Refused]:
        """Enrol a host, or refuse it."""
        turn = self._turn(now_s, "agent")
        return turn, agents.on_join(turn, public_key, message)

    def connected(self, host_id: HostId, hello: Hello, now_s: Moment) -> tuple[Turn, Welcome | Refused]:
        """Open the session of an enrolled host."""
        turn = self._turn(now_s, f"host:{host_id}")
        host = self.cluster.hosts.get(host_id)
        if host is None:
            return turn, Refused(code="unknown_key", message="This host was deleted; join it again with a new token.")
        return turn, agents.on_connected(turn, host, hello)

    def lost(self, host_id: HostId, now_s: Moment) -> Turn:
        """Note that a host's session has ended."""
        turn = self._turn(now_s, f"host:{host_id}")
        host = self.cluster.hosts.get(host_id)
        if host is not None:
            agents.on_lost(turn, host, "nothing was heard of its agent")
        return turn

    def message(self, host_id: HostId, message: AgentMessage, now_s: Moment) -> Turn:
        """React to a message of a host; ends that were asked for meanwhile follow at once."""
        turn = self._turn(now_s, f"host:{host_id}")
        agents.on_message(turn, host_id, message)
        self._follow_up(turn)
        return turn

    def _follow_up(self, turn: Turn) -> None:
        for vm_id in [change.key for change in turn.changes if isinstance(change.new, VmRecord)]:
            vm = self.cluster.vms.get(vm_id)  # type: ignore[call-overload]  # the key of a VM
            if vm is not None and vm.end_asked_by and vm.operation_id is None:
                self._end(turn, vm)
        image_contents.follow(turn)

    def _end(self, turn: Turn, vm: VmRecord) -> None:
        """End a VM as was asked; where that does not work, whoever asked has to ask again."""
        actor, turn.actor = turn.actor, vm.end_asked_by
        actions.terminate(turn, _replace(vm, end_asked_by=""))
        turn.actor = actor

    def tick(self, now_s: Moment) -> Turn:
        """Do what time asks for; about once a second."""
        turn = self._turn(now_s, "controller")
        agents.on_tick(turn)
        bans.on_tick(turn)
        self.cluster.take_hopes(now_s)
        queueing.expire(turn)
        departures.drain(turn)
        departures.reschedule(turn)
        rebalancing.on_tick(turn)
        agenda.carry_out(turn)
        self._scheduler.on_tick(turn)
        if self._plugin_troubles.on_tick(turn, self.cluster.placement.rules.troubles):
            self._scheduler.forget()
        return turn

    def schedule(self, now_s: Moment) -> Turn:
        """Let waiting VMs and free hosts meet; cheap when nothing changed."""
        turn = self._turn(now_s, scheduler.ACTOR)
        self.cluster.take_hopes(now_s)
        if self.cluster.unconsidered or self.cluster.freed:
            (self._outside or self._scheduler).run(turn)
        return turn

    def ask_outside(self, called: str) -> Rounds:
        """Let another scheduler decide, and return how it is asked.

        Args:
            called: As people are told: ``the program /usr/local/bin/first-fit``.
        """
        self.cluster.outside = Standing(called)
        self._outside = Rounds(self.cluster.outside, self._scheduler)
        return self._outside

    def decided(self, outcome: Outcome, now_s: Moment) -> Turn:
        """React to what another scheduler chose."""
        assert self._outside is not None, "somebody was asked"
        turn = self._turn(now_s, scheduler.ACTOR)
        self._outside.on_outcome(turn, outcome)
        return turn


def allow(who: Who, user: User | None) -> None:
    """Let a user ask for what the table lets people of that kind ask for.

    Raises:
        RefusalError: ``unauthenticated`` or ``forbidden``.
    """
    if who is Who.ANYONE:
        return
    if user is None:
        raise RefusalError(
            "unauthenticated", "Say who you are: send your token (inn: --token-file or INNKEEPER_TOKEN)."
        )
    if who is Who.ADMIN and not user.is_admin:
        raise RefusalError("forbidden", "Only an administrator may do this.")
