"""What the commands about networks, clusters and datastores send, and what they say of the answer."""

import pytest

LAN = {
    "network_id": 1,
    "name": "mine",
    "size": 5,
    "taken": 0,
    "ranges": [{"ar_id": 2, "size": 5, "type": "IP4", "ip": "10.0.0.1", "mac": ""}],
}
CLUSTER = {"cluster_id": 100, "name": "near", "hosts": ["h1"]}
STORE = {"name": "team", "driver": "qcow2", "kept_in": "default", "datastore_id": 100}
ADDED = "Network 1 mine has 5 addresses: 10.0.0.1 - 10.0.0.5.\n"
RANGES = "Network mine has 5 addresses:\n  2: 10.0.0.1 - 10.0.0.5\n"

#: ``(command, request, what it sends, answer, what it says)``
COMMANDS = [
    (
        "network reserve lan mine --size 5",
        "POST /v1/networks/lan/reserve",
        {"template": 'NAME = "mine"\nSIZE = "5"\n'},
        LAN,
        ADDED,
    ),
    (
        "network reserve lan --grow mine --size 2 --range 1 --first 02:00:0a:00:00:01",
        "POST /v1/networks/lan/reserve",
        {"template": 'NETWORK_ID = "mine"\nSIZE = "2"\nAR_ID = "1"\nMAC = "02:00:0a:00:00:01"\n'},
        LAN,
        ADDED,
    ),
    (
        "network range add lan 10.0.0.1/5",
        "POST /v1/networks/lan/ranges",
        {"template": 'AR = [ IP = "10.0.0.1", SIZE = "5", TYPE = "IP4" ]\n'},
        LAN,
        RANGES,
    ),
    (
        "network range add lan 02:00:0a:00:00:01/5 --set TYPE=IP6 --set GLOBAL_PREFIX=2001:db8::",
        "POST /v1/networks/lan/ranges",
        {"template": 'AR = [ MAC = "02:00:0a:00:00:01", SIZE = "5", TYPE = "IP6", GLOBAL_PREFIX = "2001:db8::" ]\n'},
        LAN,
        RANGES,
    ),
    (
        "network range update lan 2 --size 5 --set NOTE=x",
        "POST /v1/networks/lan/ranges/update",
        {"template": 'AR = [ AR_ID = "2", SIZE = "5", NOTE = "x" ]\n'},
        LAN,
        RANGES,
    ),
    ("network range delete lan 2 --force", "DELETE /v1/networks/lan/ranges/2?force=true", None, LAN, RANGES),
    ("network range free mine 2", "POST /v1/networks/mine/ranges/2/free", {}, LAN, RANGES),
    (
        "cluster add near",
        "POST /v1/clusters",
        {"name": "near"},
        CLUSTER,
        "Cluster 100 near is there; `inn cluster add-host` fills it.\n",
    ),
    (
        "cluster list",
        "GET /v1/clusters",
        None,
        [CLUSTER],
        " ID  NAME  HOSTS  NETWORKS  DATASTORES\n100  near  h1     -         -\n",
    ),
    (
        "cluster add-host near h1",
        "POST /v1/clusters/near/hosts",
        {"host": "h1"},
        CLUSTER,
        "Host h1 is now in cluster near.\n",
    ),
    (
        "cluster del-network 100 lan",
        "DELETE /v1/clusters/100/networks/lan",
        None,
        CLUSTER,
        "Network lan is no longer in cluster near.\n",
    ),
    (
        "cluster add-datastore near team",
        "POST /v1/clusters/near/datastores",
        {"datastore": "team"},
        CLUSTER,
        "Datastore team is now in cluster near.\n",
    ),
    ("cluster delete near", "DELETE /v1/clusters/near", None, {}, "Cluster near is forgotten.\n"),
    (
        "datastore add team --type file --kept-in default --cluster near",
        "POST /v1/datastores",
        {"name": "team", "driver": "qcow2", "type": "file", "template": 'KEPT_IN = "default"\n', "cluster": "near"},
        STORE,
        "Datastore team is there, with the driver qcow2. It lies in datastore default on the hosts.\n",
    ),
    (
        "datastore disable team",
        "POST /v1/datastores/team/enable",
        {"enabled": False},
        STORE,
        "Datastore team takes no new images; those that it has stay of use.\n",
    ),
    (
        "host offline h1",
        "POST /v1/hosts/h1/offline",
        {},
        {"name": "h1", "state": "offline", "vms": 2},
        "Host h1 is offline; its VMs (2) are left as they are. `inn host enable h1` brings it back.\n",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "request_line", "body", "answer", "text"), COMMANDS, ids=lambda each: str(each)[:40]
)
def test_a_command_sends_what_it_means_and_says_what_came_of_it(run, fake, command, request_line, body, answer, text):
    fake.answers = {request_line: answer}
    ran = run(*command.split())

    assert (ran.code, ran.err) == (0, "")
    assert [(asked.line, asked.json or None) for asked in fake.asked] == [(request_line, body or None)]
    assert ran.out == text


@pytest.mark.parametrize("arguments", ["", "mine --grow mine"])
def test_a_reservation_is_either_new_or_grows(run, arguments):
    assert run(*f"network reserve lan {arguments} --size 2".split()).code == 2
