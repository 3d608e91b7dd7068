"""What gunicorn serves: ``gunicorn web.wsgi:app``. The environment is read here; nothing connects before a request."""

from __future__ import annotations

import api
import console

app = api.create_app()
console.install(app)
