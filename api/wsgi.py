"""What gunicorn serves: ``gunicorn api.wsgi:app``. The environment is read here; nothing connects before a request."""

from __future__ import annotations

from api import create_app

app = create_app()
