"""What tests tell the server: `POST /_control/VERB` with a JSON object of arguments.

`control` is the other end of it, and says what each verb does.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import orjson

from tests.stripe_server.account import EVENT, Account
from tests.stripe_server.api import Api
from tests.stripe_server.errors import ApiError, missing
from tests.stripe_server.misbehaviour import Misbehaviour, Rule
from tests.stripe_server.objects import shown
from tests.stripe_server.store import Store, Thing
from tests.stripe_server.webhooks import Endpoint, Manners, Webhooks
from tests.stripe_server.wire import Answer, Request

CONTROL: Final = "/_control/"
JSON: Final = {"content-type": "application/json"}


class Verbs:
    def __init__(
        self,
        account: Account,
        store: Store,
        api: Api,
        webhooks: Webhooks,
        misbehaviour: Misbehaviour,
    ) -> None:
        self._account = account
        self._store = store
        self._webhooks = webhooks
        self._misbehaviour = misbehaviour
        self._verbs: dict[str, Callable[..., Any]] = {
            "attempt": account.attempt,
            "settle": account.settle,
            "fail_refund": account.fail_refund,
            "dispute": account.dispute,
            "pass_time": account.pass_time,
            "payments": account.payments,
            "money": account.money,
            "tell": account.tell,
            "events": self._events,
            "answers": self._answers,
            "under_way": lambda: {name: count for name, count in api.under_way.items() if count},
            "undelivered": lambda: self._webhooks.undelivered,
            "hurry": webhooks.hurry,
            "send_to": self._send_to,
            "behave": self._behave,
            "limit": misbehaviour.limit,
            "misbehave": self._misbehave,
        }

    async def answer(self, request: Request) -> Answer:
        verb = request.path.removeprefix(CONTROL)
        arguments = orjson.loads(request.body or b"{}")
        try:
            if verb == "deliver":
                result: Any = await self._deliver(**arguments)
            else:
                result = self._verbs[verb](**arguments)
        except (ApiError, KeyError, TypeError) as error:
            body = orjson.dumps({"detail": str(error)})
            return Answer(HTTPStatus.BAD_REQUEST, body, JSON)
        finally:
            self._store.commit()
        shown_result = shown(result) if isinstance(result, dict) else result
        return Answer(HTTPStatus.OK, orjson.dumps(shown_result), JSON)

    def _events(self, types: list[str] | None = None) -> list[Thing]:
        events = self._store.all(EVENT)
        return [shown(event) for event in events if types is None or event["type"] in types]

    def _answers(self) -> list[tuple[str, int, int]]:
        counted = self._misbehaviour.answers.items()
        return [(endpoint, status, count) for (endpoint, status), count in counted]

    def _send_to(self, endpoints: list[dict[str, Any]]) -> None:
        self._webhooks.send_to([Endpoint(**endpoint) for endpoint in endpoints])

    def _behave(self, **manners: Any) -> None:
        self._webhooks.behave(Manners(**manners))

    def _misbehave(self, rules: list[dict[str, Any]]) -> None:
        self._misbehaviour.rules = [Rule(**rule) for rule in rules]

    async def _deliver(
        self, events: list[str], age_seconds: int = 0, secret: str | None = None
    ) -> list[int | None]:
        """One after the other, in this order."""
        statuses = []
        for identifier in events:
            event = self._store.find(EVENT, identifier)
            if event is None:
                raise missing("event", identifier)
            for endpoint in self._webhooks.endpoints:
                if endpoint.wants(event):
                    status = await self._webhooks.send(
                        event, endpoint, age_seconds=age_seconds, secret=secret
                    )
                    statuses.append(status)
        return statuses
