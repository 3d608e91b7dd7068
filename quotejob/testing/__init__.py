"""For tests of code that uses quotejob: its scheduler in simulated time, without workers, an org or waiting.

docs/testing.md explains it. The stores are the real ones on a real Redis. Only time and the work of the jobs are
simulated: a job does nothing, takes as long as the test says and ends as the test says.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from quotejob.testing.redis_server import ServerError
from quotejob.testing.redis_server import private as private_redis

if TYPE_CHECKING:
    from quotejob.testing.clock import Clock
    from quotejob.testing.jobs import JobRan, MemoryOrg, run_job
    from quotejob.testing.pricing import run_pricing
    from quotejob.testing.sandboxes import RedisInUse, SandboxOrg, sandbox
    from quotejob.testing.simulation import Fate, Ran, Simulation

    Org = SandboxOrg  # its first name; it stays

__all__ = [
    "Clock",
    "Fate",
    "JobRan",
    "MemoryOrg",
    "Org",
    "Ran",
    "RedisInUse",
    "SandboxOrg",
    "ServerError",
    "Simulation",
    "private_redis",
    "run_job",
    "run_pricing",
    "sandbox",
]

# bin/demo and all that starts a Redis import this package: what needs the stores and the org client comes at first use.
_LATER = {
    "Clock": "clock",
    "Fate": "simulation",
    "JobRan": "jobs",
    "MemoryOrg": "jobs",
    "Ran": "simulation",
    "RedisInUse": "sandboxes",
    "SandboxOrg": "sandboxes",
    "Simulation": "simulation",
    "run_job": "jobs",
    "run_pricing": "pricing",
    "sandbox": "sandboxes",
}


def __getattr__(name: str) -> Any:
    """Import one of the names that are imported at first use. Raises AttributeError for any other name."""
    if name == "Org":
        return __getattr__("SandboxOrg")
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
