"""The chat's runtime in one worker: event loop, hub, job queues, sweeper, group commit, control-table poller."""

from .lifecycle import Runtime
from .site import Site, SiteHooks, StoreAccess, WorkerLinks

__all__ = ["Runtime", "Site", "SiteHooks", "StoreAccess", "WorkerLinks"]
