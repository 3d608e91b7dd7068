"""Who may change what others of the same org have made: everybody, or only the people of QUOTEJOB_MANAGERS.

The stores ask (:func:`check`), so every door is covered: the API and the console. Who acts is known as for the audit.
What workers and clocks do is not asked.
"""

from __future__ import annotations

from quotejob import audit
from quotejob.errors import NotAManager
from quotejob.settings import Settings


def check(settings: Settings, made_by: str | None = None) -> None:
    """Raise NotAManager if the person who acts may not change this. ``made_by``: a user id; None: it is everybody's."""
    actor = audit.actor()
    if actor is None or settings.managers is None or actor == made_by or actor[:15] in settings.managers:
        return
    raise NotAManager(
        "This belongs to another user of your org, or to all of them, and you may change only what you made. Ask one "
        "of those whose ids QUOTEJOB_MANAGERS has"
    )
