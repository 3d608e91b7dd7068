"""The connection to one org: simple-salesforce on a Wire. Errors are translated, safe calls are repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Protocol, TypeVar

import msgspec
import requests
from simple_salesforce.api import Salesforce
from tenacity import Retrying, retry_if_exception, stop_before_delay, wait_random_exponential

from quotejob.errors import OrgError, OrgSilent, OrgUnreachable
from quotejob.salesforce.address import OrgAddress
from quotejob.salesforce.translate import LOCATOR_LOST, TIMEOUT, UNEXPECTED_ANSWER, translated
from quotejob.salesforce.wire import Wire

FIRST_PAUSE = 0.5  # seconds at most before the second try; doubles with each
LONGEST_PAUSE = 8.0  # seconds

# What goes wrong when an answer does not have the form that its reader expects.
_FORM_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)

T = TypeVar("T")
read_json = msgspec.json.Decoder(float_hook=Decimal).decode  # money is never a float


class Watch(Protocol):
    """What is told of each call whether the org answered it."""

    def answered(self) -> None:
        """Note that the org answered a call, in whatever way."""
        ...

    def not_answered(self) -> None:
        """Note that the org did not answer a call in time. Raises OrgSilent if nothing should be sent to it now."""
        ...


class _Salesforce(Salesforce):
    """simple-salesforce, with a faster reader of JSON."""

    def parse_result_to_json(self, result: requests.Response) -> Any:
        """Return what an answer says. Numbers with a fraction are Decimal. Raises ValueError if it is no JSON."""
        try:
            return read_json(result.content)
        except msgspec.DecodeError:  # what Python's own reader also takes, such as another encoding than UTF-8
            return super().parse_result_to_json(result)


class Connection:
    """The connection that all calls of one OrgClient share.

    ``retry_for``: for so many seconds after its first try, a safe call may be tried again. 0 means never.
    """

    def __init__(self, address: OrgAddress, timeout: tuple[float, float], retry_for: float, max_answer: int) -> None:
        self.address = address
        self.watch: Watch | None = None
        self.retry_for = retry_for
        self.wire = Wire(address, timeout, max_answer)
        self.salesforce = _Salesforce(
            session_id=address.access_token,
            instance=address.host,
            version=address.api_version,
            session=self.wire,
            parse_float=Decimal,
            object_pairs_hook=dict,
        )

    def __repr__(self) -> str:
        return f"Connection({self.address!r})"

    def raw(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request to a path below the version, and return the answer as it is. Errors are simple-salesforce's.

        simple-salesforce has no public method for a body that is no JSON, nor for an answer that is streamed.
        """
        return self.salesforce._call_salesforce(method, self.salesforce.base_url + path, **options)

    def once(self, call: Callable[[], T]) -> T:
        """Make a call once. Raises OrgError."""
        try:
            with self.reading("what it was asked for"), translated(self.address.host, self.address.access_token):
                answer = call()
        except OrgError as fault:
            self._tell(answered=fault.code != TIMEOUT)
            raise
        self._tell(answered=True)
        return answer

    def _tell(self, *, answered: bool) -> None:
        if self.watch is not None:
            (self.watch.answered if answered else self.watch.not_answered)()

    def safe(self, call: Callable[[], T]) -> T:
        """Make a call that is harmless if it is repeated. Repeats it after faults. Raises OrgError."""
        tries = Retrying(
            retry=retry_if_exception(_passes),
            wait=wait_random_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
            stop=stop_before_delay(self.retry_for),
            reraise=True,
        )
        answer: T = tries(self.once, call)
        return answer

    @contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Turn the errors of a block that reads an answer into OrgUnreachable: the org answered without ``what``."""
        try:
            yield
        except _FORM_ERRORS as error:
            raise self.unexpected(what) from error

    def unexpected(self, what: str) -> OrgError:
        """Return the error for a successful answer with an unexpected body."""
        message = f"{self.address.host} answered without {what}: check that this is the address of a Salesforce org."
        return OrgUnreachable(message, code=UNEXPECTED_ANSWER)


def _passes(error: BaseException) -> bool:
    return isinstance(error, OrgUnreachable) and not isinstance(error, OrgSilent) and error.code != LOCATOR_LOST
