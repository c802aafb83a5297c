"""A plan makes its way over HTTP: asked for, kept as JSON, applied, and refused once it no longer holds."""

from tests.controller.builders import BARE, a_host

#: What is sent of a plan.
SENT = ("kind", "version", "wanted", "placed", "host", "moves")


def sent(plan):
    return {key: plan[key] for key in SENT if key in plan}


def test_a_plan_is_applied_as_it_came_and_only_once(serve):
    async def scenario(site):
        await site.put(a_host(1, cpu_cores=2.0), a_host(2, cpu_cores=1.0))
        plan = (await site.ask("POST", "/v1/plans/submit", {"template": BARE, "count": 3}, token="ann")).json
        applied = await site.ask("POST", "/v1/plans/apply", sent(plan), token="ann")
        again = await site.ask("POST", "/v1/plans/apply", sent(plan), token="ann")

        assert [(each["host"], each["numbers"]) for each in plan["placed"]] == [("h1", [0, 1]), ("h2", [2])]
        assert (applied.status, applied.json) == (200, {"vm_ids": [0, 1, 2]})
        vms = site.controller.reactor.cluster.vms
        assert [vms[vm_id].host_id for vm_id in (0, 1, 2)] == [1, 1, 2]
        assert (again.status, again.error["code"], len(vms)) == (409, "stale", 3)

    serve(scenario)


def test_an_administrator_asks_whether_hosts_may_die_and_a_user_does_not(serve):
    async def scenario(site):
        await site.put(a_host(1), a_host(2))
        named = await site.ask("POST", "/v1/plans/lose", {"hosts": ["h1"]})
        each = await site.ask("POST", "/v1/plans/lose", {"any": True})
        user = await site.ask("POST", "/v1/plans/lose", {"any": True}, token="ann")

        assert (named.json["holds"], named.json["losses"]) == (True, [{"hosts": ["h1"], "holds": True, "vms": 0}])
        assert (each.json["holds"], each.json["hosts"], each.json["losses"]) == (True, 2, [])
        assert user.status == 403

    serve(scenario)


def test_capacity_is_answered_with_all_that_bounds_it(serve):
    async def scenario(site):
        await site.put(a_host(1, cpu_cores=2.0))
        answer = await site.ask("POST", "/v1/capacity", {"template": BARE, "set": {"CPU": "0.5"}}, token="ann")

        assert answer.json == {
            "fits": 4,
            "at_least": False,
            "runs_out": "cpu",
            "on_hosts": 4,
            "clusters": [{"cluster": "default", "hosts": 1, "fits": 4, "runs_out": "cpu", "counts": {"cpu": 1}}],
        }

    serve(scenario)
