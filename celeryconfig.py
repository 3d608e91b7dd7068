"""Celery's settings, read by ``celery -A tasks ...``, and by ``celery ...`` in this folder.

Each setting that differs from the default has its reason beside it. The only secret here is the password in the
broker's address: ``celery inspect conf`` shows this module, and hides that password.
"""

from kombu import Queue as _Queue

from quotejob.settings import or_exit as _or_exit
from quotejob.settings import redis_url as _redis_url
from quotejob.store.client import tls as _tls

# The broker and the result store: one Redis.
broker_url = result_backend = _or_exit(_redis_url)
# Both settings: with only one of them the broker's certificate is not verified.
broker_use_ssl = redis_backend_use_ssl = _or_exit(lambda: _tls(broker_url)) or None
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # never give up on a Redis that restarts
broker_channel_error_retry = True  # nor on one that takes no writes for a while, as during a failover
# Without a pool each message opens a connection. Web and workers keep one or two (tasks.broker.keep_connections): the
# smallest hosted Redis allows 20. Flower deadlocks with a small pool, opens 15-22 with a large one, and 6 without one.
broker_pool_limit = 0
broker_transport_options = {
    "visibility_timeout": 3600,  # longer than any task; a lost message is found by the sweep, not by this
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "unacked_mutex_expire": 30,  # a worker killed while restoring blocks the others 5 minutes by default
    "queue_order_strategy": "priority",  # clock, then control: a commit never waits behind thousands of pages
    "priority_steps": list(range(10)),  # fair shares: tasks.queues.share
    "socket_timeout": 30,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 25,
}
result_backend_transport_options = {"visibility_timeout": 3600}
# One backend with few connections for all threads (tasks.broker); Celery's own would be one for each thread.
override_backends = dict.fromkeys(("redis", "rediss"), "tasks.broker:Backend")
result_backend_thread_safe = True
redis_socket_timeout = 30
redis_socket_keepalive = True
redis_backend_health_check_interval = 25

# Steps wait for orgs, and a thread that waits costs next to nothing: many requests are in flight from one process.
# `-c 8` sets another number of threads. `-P processes` runs each step in a process of its own, with more memory and
# more connections to Redis; Celery takes `-P prefork` for "as configured".
worker_pool = "tasks.pool:TaskPool"
worker_concurrency = 64  # more than the 25 of one org: some that hang leave threads for others (quotejob.run.gate)

# Delivery: a task may run twice (each says why that is harmless). It is not lost when the child that runs it dies.
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1  # a worker reserves only the tasks that it runs
worker_deduplicate_successful_tasks = False  # with chords it can lose the body
worker_cancel_long_running_tasks_on_connection_loss = False  # to finish a task costs less than to repeat it
task_allow_error_cb_on_chord_header = False  # a page's failure is data, not an exception

# Results: the job's state in Redis is the truth, so tasks keep none (a chord on Redis counts its header without them).
task_ignore_result = True
task_store_errors_even_if_ignored = True
result_backend_always_retry = True  # a Redis that restarts must not fail a task
result_expires = 6 * 3600  # seconds
result_chord_expires = 24 * 3600  # seconds; longer than any wave

# JSON only, as by default: a message with pickle would be code.
accept_content = ["json"]

# Queues. A plain `celery -A tasks worker` serves all of them. clock is for tasks that must start on time. A worker that
# knows newer formats also serves their queues, as pages.2: tasks.queues.
task_queues = [_Queue(name, routing_key=name) for name in ("clock", "control", "pages")]
task_default_queue = "control"
task_default_priority = 0  # the highest; pages and batches set their own
task_routes = {
    f"quotejob.{task}": "pages" for task in ("price_page", "load_page", "write_batch", "clean_up", "mirror", "notify")
} | {f"quotejob.{task}": "clock" for task in ("tick", "tick_at")}
task_time_limit = 360  # seconds; for `-P processes` only: steps have deadlines of their own (tasks.steps)

# For Flower and `celery inspect`. Workers send events of tasks once somebody asks for them: Flower does every five
# seconds, and `celery events` when it starts. Each event costs a message.
task_track_started = True
worker_send_task_events = False
task_send_sent_event = False
task_repr_maxlevels = 2

worker_hijack_root_logger = False  # quotejob.logs
worker_soft_shutdown_timeout = 15  # seconds to finish; REMAP_SIGTERM=SIGQUIT makes the SIGTERM of a platform use it

timezone = "UTC"
beat_schedule = {
    # No "expires": that goes by the clocks of two machines. tasks.housekeeping drops those that waited for long.
    "sweep": {"task": "quotejob.sweep", "schedule": 2.0},
    "tick": {"task": "quotejob.tick", "schedule": 1.0},
}
beat_scheduler = "tasks.housekeeping:Scheduler"  # leaves some out when Redis is slow
imports = ("tasks.flow", "tasks.sweep", "tasks.ticks", "tasks.clean_up", "tasks.mirror", "tasks.notices")
