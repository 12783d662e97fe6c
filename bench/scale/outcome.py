"""The outcome of a simulated load: utilisation of each resource, delivery times, and whether the site kept up."""

from functools import cache
from typing import NamedTuple

from bench.scale.site import WARM_UP, Site

#: The site does not keep up if the second half of a run is this many times later than the first.
RISING = 2.0


class Outcome(NamedTuple):
    """Utilisation of the busiest resource of each kind; latencies in ms; whether they were still rising at the end."""

    rate: float
    deliveries: float
    used: dict
    p50: float
    p99: float
    rising: bool

    @property
    def busiest(self):
        """The busiest resource. Not the disk: the busier it is, the more commits share a flush."""
        return max((name for name in self.used if name != "disk"), key=self.used.get)


@cache
def play(load, rate, seed=1):
    """Simulate a load at a rate."""
    site = Site(load, rate, seed).run()
    p50, p99 = (quantile(site.samples, share) * 1e3 for share in (0.5, 0.99))
    delivered = sum(site.delivered.values()) / site.length
    return Outcome(rate, delivered, used(site), p50, p99, rises(site))


def used(site):
    """Return {resource: utilisation of its busiest instance while messages were sent}."""
    held = (meter.busy for shard in site.shards for meter in shard.locks.held.values())
    busy = {
        "worker": max(worker.busy for worker in site.workers),
        "network": max(card.busy for card in site.cards),
        "Redis": max(broker.busy for broker in site.brokers),
        "store": max(shard.cores.busy for shard in site.shards) / site.load.hardware.store_cores,
        "disk": max(shard.disk.busy for shard in site.shards),
        "room lock": max(held, default=0.0),
    }
    return {name: seconds / site.length for name, seconds in busy.items()}


def rises(site):
    """Return whether messages of the second half were delivered much later than those of the first."""
    middle = (WARM_UP + site.length) / 2
    first = quantile([sample for sample in site.samples if sample[0] < middle], 0.5)
    second = quantile([sample for sample in site.samples if sample[0] >= middle], 0.5)
    return second > RISING * first > 0


def quantile(samples, share):
    """Return the weighted quantile of the latencies in (sent, latency, weight) samples; 0 without samples."""
    ordered = sorted(sample[1:] for sample in samples)
    left = share * sum(weight for _, weight in ordered)
    for latency, weight in ordered:
        left -= weight
        if left <= 0:
            return latency
    return 0.0
