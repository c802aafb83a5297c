"""What an operator decides of scheduling, the section ``[scheduling]`` of the configuration; values only."""

from innkeeper_plugins.vocabulary import Value


class OrderOptions(Value):
    """``[scheduling.order]``: who is placed first; a VM's place is the weighted sum of what follows."""

    #: Of the VM's own priority, whole points.
    priority_weight: float = 1.0
    #: Of each hour that the VM has waited.
    age_weight_per_h: float = 1.0
    #: Points that who used nothing is ahead of who used all.
    fair_share_weight: float = 10.0
    #: After so long what somebody used counts half.
    half_life_s: float = 7 * 86_400.0
    #: VMs of one user on hosts at once, at most; 0 for any number.
    max_placed_per_user: int = 0
    #: VMs of one user that are placed in one pass, at most; 0 for any number.
    max_per_pass_and_user: int = 0


class BanOptions(Value):
    """``[scheduling.ban]``: how long a host on which VMs do not start gets none."""

    #: After the first failure of a row; each further one doubles it.
    first_s: float = 30.0
    at_most_s: float = 3_600.0


class BalanceOptions(Value):
    """``[scheduling.balance]``: moving VMs unattended, so that hosts are used well."""

    #: ``even``, ``consolidate`` or ``affinity``; empty for not at all.
    goal: str = ""
    every_s: float = 300.0
    #: Migrations of this kind that run at once.
    max_at_once: int = 2
    #: Migrations to or from one host in an hour.
    max_per_host_and_hour: int = 4
    #: A plan that gains less is not begun; from 0 to 1, see ``docs/scheduling.md``.
    minimum_gain: float = 0.02
    #: A VM that was moved stays where it is for so long.
    cool_down_s: float = 3_600.0


class ProgramOptions(Value):
    """``[scheduling.program]``: another program that decides."""

    #: The program and its arguments; empty for none. It gets JSON on stdin and answers JSON on stdout.
    argv: tuple[str, ...] = ()
    #: After so long the built-in scheduler decides instead.
    timeout_s: float = 5.0


class Options(Value):
    """All of it."""

    #: ``{score: weight}`` of the policy ``custom``.
    weights: dict[str, float] = {}
    #: How long a VM may be PENDING where its template says nothing; 0 for any time.
    pending_timeout_s: float = 0.0
    order: OrderOptions = OrderOptions()
    ban: BanOptions = BanOptions()
    balance: BalanceOptions = BalanceOptions()
    program: ProgramOptions = ProgramOptions()
