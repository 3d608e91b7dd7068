"""For tests of what you build on quotejob: its scheduler in simulated time, without workers, an org or waiting.

docs/testing.md shows it. The stores are the real ones on a real Redis; only time and the jobs' work are not: a job here
does nothing, takes as long as the test says and ends as the test says.
"""

from quotejob.testing.clock import Clock
from quotejob.testing.redis_server import ServerError
from quotejob.testing.redis_server import private as private_redis
from quotejob.testing.sandbox import Org, RedisInUse, sandbox
from quotejob.testing.simulation import Fate, Ran, Simulation

__all__ = ["Clock", "Fate", "Org", "Ran", "RedisInUse", "ServerError", "Simulation", "private_redis", "sandbox"]
