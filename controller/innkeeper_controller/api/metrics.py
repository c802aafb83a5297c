"""What Prometheus reads: the numbers of the moment, gathered only when somebody asks; counts nothing itself."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from innkeeper_controller.api.console import Consoles
from innkeeper_controller.api.feed import Feed
from innkeeper_controller.api.traffic import EDGES_S, Traffic
from innkeeper_controller.requests.views import shown_state
from innkeeper_controller.shell import Controller
from innkeeper_controller.store.writer import Distribution


class Metrics:
    """A collector of everything that the controller counts."""

    def __init__(
        self,
        controller: Controller,
        traffic: Traffic,
        feed: Feed,
        consoles: Consoles,
        fabric: Callable[[], Counter[str]],
    ) -> None:
        """Keep where the numbers are.

        Args:
            controller: State, loop and writer.
            traffic: HTTP.
            feed: Events.
            consoles: Consoles.
            fabric: Gives the gateway's counters.
        """
        self._controller, self._traffic = controller, traffic
        self._feed, self._consoles, self._fabric = feed, consoles, fabric
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Give the metrics; called by the registry."""
        yield from self._state()
        yield from self._loop()
        yield from self._store()
        yield from self._http()

    def _state(self) -> Iterator[Metric]:
        cluster = self._controller.reactor.cluster
        vms = Counter(vm.state.value for vm in cluster.vms.values())
        hosts = Counter(shown_state(host) for host in cluster.hosts.values())
        yield _gauges("innkeeper_vms", "VMs that are not DONE, by state.", "state", vms.items())
        yield _gauges("innkeeper_hosts", "Hosts, by state.", "state", hosts.items())
        yield GaugeMetricFamily("innkeeper_operations_running", "Operations that go on.", len(cluster.running))
        yield GaugeMetricFamily("innkeeper_address_leases", "Addresses that are not free.", len(cluster.leases))
        yield GaugeMetricFamily("innkeeper_images", "Images.", len(cluster.images))

    def _loop(self) -> Iterator[Metric]:
        pipeline = self._controller.pipeline
        yield GaugeMetricFamily("innkeeper_inputs_waiting", "Inputs not reacted to yet.", pipeline.waiting)
        yield GaugeMetricFamily("innkeeper_turns_unfinished", "Turns not durable yet.", pipeline.unfinished_turns)
        yield GaugeMetricFamily("innkeeper_store_writable", "0 while nothing can be written.", not pipeline.trouble)
        yield CounterMetricFamily("innkeeper_faults", "Promises that our own code broke.", pipeline.bugs)
        yield GaugeMetricFamily("innkeeper_event_followers", "Clients that follow events.", self._feed.followers)
        yield GaugeMetricFamily("innkeeper_consoles_open", "Open consoles.", len(self._consoles))
        yield _counters("innkeeper_shell", "What the loop did besides.", "what", self._controller.counters.items())
        yield _counters("innkeeper_fabric", "What was dropped or refused at the ports.", "what", self._fabric().items())

    def _store(self) -> Iterator[Metric]:
        counters = self._controller.pipeline.writer.counters
        yield CounterMetricFamily("innkeeper_store_transactions", "Turns that were written.", counters.transactions)
        yield CounterMetricFamily("innkeeper_store_rows", "Rows that were written.", counters.rows)
        yield CounterMetricFamily("innkeeper_store_failures", "Commits that failed.", counters.failures)
        yield _histogram("innkeeper_store_commit_seconds", "COMMIT, which is nearly all fsync.", counters.commit_s)
        yield _histogram("innkeeper_store_write_seconds", "Whole write transactions.", counters.write_s)
        yield _histogram("innkeeper_store_commit_turns", "Turns in one commit.", counters.turns)

    def _http(self) -> Iterator[Metric]:
        answers = CounterMetricFamily("innkeeper_http_requests", "Requests of the table.", labels=["request", "status"])
        for (name, status), count in self._traffic.answers.items():
            answers.add_metric([name, str(status)], count)
        yield answers
        took = HistogramMetricFamily(
            "innkeeper_http_seconds", "From a request's headers to its answer.", labels=["request"]
        )
        for name, counts in self._traffic.buckets.items():
            took.add_metric([name], _buckets(EDGES_S, counts), self._traffic.took_s[name])
        yield took


def _gauges(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    metric = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values:
        metric.add_metric([key], value)
    return metric


def _counters(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    metric = CounterMetricFamily(name, text, labels=[label])
    for key, value in values:
        metric.add_metric([key], value)
    return metric


def _histogram(name: str, text: str, values: Distribution) -> Metric:
    return HistogramMetricFamily(name, text, _buckets(values.edges, values.counts), values.total)


def _buckets(edges: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Return Prometheus's buckets, each of which counts all below its edge."""
    below, buckets = 0, []
    for edge, count in zip([*map(str, edges), "+Inf"], counts or [0] * (len(edges) + 1), strict=True):
        below += count
        buckets.append((edge, float(below)))
    return buckets
