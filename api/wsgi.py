"""What gunicorn serves, the API and the console: ``gunicorn api.wsgi:app``.

The environment is read here; nothing connects before a request. Nothing imports this module.
"""

from __future__ import annotations

import console
from api import create_app
from quotejob.settings import load, or_exit

LOAD_FAILED = 4  # with this exit code of a worker gunicorn ends, instead of starting the next one

app = or_exit(lambda: create_app(load()), LOAD_FAILED)
console.install(app)
