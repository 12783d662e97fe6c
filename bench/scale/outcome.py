"""What a rate did to a load: how much of each resource it took, how late messages were, whether the site kept up."""

from functools import cache
from typing import NamedTuple

from bench.scale.site import WARM, Site

#: The second half of a run is so many times later than the first where the site does not keep up.
RISING = 2.0


class Outcome(NamedTuple):
    """Shares of 1 of each resource, the busiest of its kind; latencies in ms; whether they still rose at the end."""

    rate: float
    deliveries: float
    used: dict
    p50: float
    p99: float
    rising: bool

    @property
    def fullest(self):
        """The resource that is used most; the disk is none of them: the fuller it is, the more share a turn."""
        return max((name for name in self.used if name != "disk"), key=self.used.get)


@cache
def play(load, rate, seed=1):
    """Play a load at a rate and say how it went."""
    site = Site(load, rate, seed).run()
    p50, p99 = (quantile(site.samples, share) * 1e3 for share in (0.5, 0.99))
    heard = sum(site.heard.values()) / site.length
    return Outcome(rate, heard, used(site), p50, p99, rises(site))


def used(site):
    """{resource: share of the time in which messages were sent that its busiest one was at work}."""
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
    """Whether messages of the second half were heard much later than those of the first."""
    middle = (WARM + site.length) / 2
    first = quantile([sample for sample in site.samples if sample[0] < middle], 0.5)
    second = quantile([sample for sample in site.samples if sample[0] >= middle], 0.5)
    return second > RISING * first > 0


def quantile(samples, share):
    """The latency within which so much of the weight lies, of (sent, latency, weight); 0 of none."""
    ordered = sorted(sample[1:] for sample in samples)
    left = share * sum(weight for _, weight in ordered)
    for latency, weight in ordered:
        left -= weight
        if left <= 0:
            return latency
    return 0.0
