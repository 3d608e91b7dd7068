"""For tests of code that uses quotejob: its scheduler in simulated time, without workers, an org or waiting.

docs/testing.md explains it. The stores are the real ones on a real Redis. Only time and the work of the jobs are
simulated: a job does nothing, takes as long as the test says and ends as the test says.
"""

from quotejob.testing.clock import Clock
from quotejob.testing.jobs import JobRan, MemoryOrg, run_job
from quotejob.testing.pricing import run_pricing
from quotejob.testing.redis_server import ServerError
from quotejob.testing.redis_server import private as private_redis
from quotejob.testing.sandbox import RedisInUse, SandboxOrg, sandbox
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
