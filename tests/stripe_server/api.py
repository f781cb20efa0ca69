"""The requests of a shop: whose they are, how many there may be, which were made before, and what
is answered.

On idempotency keys, from Stripe's documentation of its API v1: what a request came to is kept with
its key, errors too, once its work has begun; the same key with other parameters is an
`idempotency_error`, and one whose first request is still under way a 409.
"""

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tests.stripe_server import objects
from tests.stripe_server.account import CHARGE, EVENT, INTENT, REFUND, SESSION, Account, livemode
from tests.stripe_server.errors import API, IDEMPOTENCY, ApiError, missing
from tests.stripe_server.misbehaviour import Misbehaviour, Rule, limited
from tests.stripe_server.params import Params, nested
from tests.stripe_server.store import Store, Thing
from tests.stripe_server.wire import Answer, CutError, Request

KEPT: Final = "idempotency_key"
KEY_CHARACTERS_MAX: Final = 255
# What a cut connection counts as.
NO_ANSWER: Final = 0
LIMIT_USUAL: Final = 10
LIMIT_MAX: Final = 100
ITEMS_URL: Final = "/v1/checkout/sessions/{id}/line_items"

# What an id may be expanded to, by how it begins.
_PREFIXES: Final = {"pi_": INTENT, "ch_": CHARGE, "re_": REFUND, "cs_": SESSION}
EXPANSION_DEPTH_MAX: Final = 4


@dataclass(frozen=True)
class Call:
    """One request, read so far as to know whose it is."""

    is_live: bool
    identifier: str
    params: Params


@dataclass(frozen=True)
class Operation:
    """A named operation has a limit of its own, whatever the id."""

    name: str
    pattern: re.Pattern[str]
    run: Callable[[Call], Thing]


class Api:
    def __init__(
        self, account: Account, store: Store, misbehaviour: Misbehaviour, keys: dict[str, bool]
    ) -> None:
        """`keys` are the secret keys, and whether each is of the live mode."""
        self._account = account
        self._store = store
        self._misbehaviour = misbehaviour
        self._keys = keys
        self._keys_under_way: set[str] = set()
        # What is being done or waited for, by the name of its endpoint.
        self.under_way: Counter[str] = Counter()
        table: dict[str, Callable[[Call], Thing]] = {
            "POST /v1/checkout/sessions": self._create_session,
            "GET /v1/checkout/sessions": self._list_sessions,
            "GET /v1/checkout/sessions/{id}": self._retrieve(SESSION),
            "GET /v1/checkout/sessions/{id}/line_items": self._line_items,
            "POST /v1/checkout/sessions/{id}/expire": self._expire_session,
            "GET /v1/payment_intents": self._list_plain(INTENT),
            "GET /v1/payment_intents/{id}": self._retrieve(INTENT),
            "POST /v1/payment_intents/{id}/capture": self._capture,
            "POST /v1/payment_intents/{id}/cancel": self._cancel,
            "GET /v1/charges": self._list_of_intent(CHARGE),
            "GET /v1/charges/{id}": self._retrieve(CHARGE),
            "POST /v1/refunds": self._refund,
            "GET /v1/refunds": self._list_of_intent(REFUND),
            "GET /v1/refunds/{id}": self._retrieve(REFUND),
            "GET /v1/events": self._list_events,
            "GET /v1/events/{id}": self._retrieve(EVENT),
            "GET /v1/balance": self._balance,
        }
        self._operations = [
            Operation(name, re.compile(name.replace("{id}", "([^/]+)")), run)
            for name, run in table.items()
        ]

    async def answer(self, request: Request) -> Answer:
        """Raises `CutError` where the connection is to end without an answer."""
        request_id = objects.new_id("req_", 14)
        headers = {"content-type": "application/json", "request-id": request_id}
        headers["stripe-version"] = request.headers.get("stripe-version", objects.API_VERSION)
        key = request.headers.get("idempotency-key")
        if key is not None and request.method == "POST":
            headers["idempotency-key"] = key
        endpoint = "unknown"
        operation: Operation | None = None
        try:
            operation, identifier = self._operation(request)
            endpoint = operation.name
            self.under_way[endpoint] += 1
            is_live = self._mode(request)
            self._misbehaviour.check(endpoint)
            rule = self._misbehaviour.next_for(endpoint)
            if rule is not None and rule.what == "limited":
                raise limited()
            status, body, more = await self._done(
                request, operation, identifier, is_live, request_id, key, rule
            )
        except ApiError as error:
            status, body, more = error.status, _json(error.body()), error.headers
        except CutError:
            self._misbehaviour.answers[endpoint, NO_ANSWER] += 1
            raise
        finally:
            if operation is not None:
                self.under_way[endpoint] -= 1
        self._misbehaviour.answers[endpoint, status] += 1
        return Answer(status, body, headers | more)

    async def _done(
        self,
        request: Request,
        operation: Operation,
        identifier: str,
        is_live: bool,
        request_id: str,
        key: str | None,
        rule: Rule | None,
    ) -> tuple[int, bytes, dict[str, str]]:
        kept = None
        if key is not None and request.method == "POST":
            kept = f"{'live' if is_live else 'test'}:{key}"
            if len(key) > KEY_CHARACTERS_MAX:
                raise ApiError(f"An idempotency key has at most {KEY_CHARACTERS_MAX} characters.")
            if kept in self._keys_under_way:
                raise _in_use(key)
            self._keys_under_way.add(kept)
        try:
            await _before(rule)
            status, body, more = self._work(
                request, operation, identifier, is_live, request_id, key, kept, rule
            )
            await _after(rule)
        finally:
            if kept is not None:
                self._keys_under_way.discard(kept)
        return status, body, more

    def _work(
        self,
        request: Request,
        operation: Operation,
        identifier: str,
        is_live: bool,
        request_id: str,
        key: str | None,
        kept: str | None,
        rule: Rule | None,
    ) -> tuple[int, bytes, dict[str, str]]:
        """What the request comes to, durably; or what it came to before."""
        self._account.pass_due()
        print_ = hashlib.sha256(request.body).hexdigest()
        before = None if kept is None else self._store.find(KEPT, kept)
        if before is not None:
            self._store.commit()
            _check_same(before, request, key or "", print_)
            replayed = {"idempotent-replayed": "true", "original-request": before["request"]}
            return before["status"], before["body"].encode(), replayed | before["headers"]
        self._account.request = {"id": request_id, "idempotency_key": key}
        more: dict[str, str] = {}
        try:
            status, thing = 200, self._run(request, operation, identifier, is_live)
        except ApiError as error:
            if not error.is_saved:
                self._store.commit()
                raise
            status, thing = error.status, error.body()
        finally:
            self._account.request = {"id": None, "idempotency_key": None}
        if rule is not None and rule.what == "error_kept":
            status, thing = 500, _broken().body()
            more = {"stripe-should-retry": "false"}
        body = _json(thing)
        if kept is not None:
            answer: Thing = {"path": request.path, "print": print_, "request": request_id}
            answer |= {"status": status, "body": body.decode(), "headers": more}
            self._store.put(KEPT, kept, answer)
        self._store.commit()
        return status, body, more

    def _run(self, request: Request, operation: Operation, identifier: str, is_live: bool) -> Thing:
        encoded = request.query if request.method == "GET" else request.body.decode()
        params = Params(nested(encoded))
        paths = params.texts("expand")
        thing = operation.run(Call(is_live, identifier, params))
        params.done()
        # What is shown is a copy, and what is expanded is put into it.
        answer: Thing = orjson.loads(_json(objects.shown(thing)))
        for path in paths:
            self._expand(answer, path.split("."), path)
        return answer

    def _operation(self, request: Request) -> tuple[Operation, str]:
        called = f"{request.method} {request.path}"
        for operation in self._operations:
            if match := operation.pattern.fullmatch(called):
                return operation, match[1] if match.groups() else ""
        message = f"Unrecognized request URL ({request.method}: {request.path})."
        raise ApiError(message, status=404)

    def _mode(self, request: Request) -> bool:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            message = "You did not provide an API key."
            raise ApiError(message, status=401)
        if key not in self._keys:
            shown = f"{key[:8]}{'*' * 8}{key[-4:]}"
            raise ApiError(f"Invalid API Key provided: {shown}", status=401)
        return self._keys[key]

    # Operations

    def _create_session(self, call: Call) -> Thing:
        return self._account.create_session(call.params, is_live=call.is_live)

    def _expire_session(self, call: Call) -> Thing:
        call.params.done()
        return self._account.expire_session(self._find(SESSION, call))

    def _capture(self, call: Call) -> Thing:
        return self._account.capture(self._find(INTENT, call, "intent"), call.params)

    def _cancel(self, call: Call) -> Thing:
        return self._account.cancel(self._find(INTENT, call, "intent"), call.params)

    def _refund(self, call: Call) -> Thing:
        return self._account.refund(call.params, is_live=call.is_live)

    def _balance(self, call: Call) -> Thing:
        left = self._account.money(is_live=call.is_live).items()
        amounts = [{"amount": each["left"], "currency": currency} for currency, each in left]
        none = [{"amount": 0, "currency": currency} for currency, _ in left]
        return {
            "object": "balance",
            "available": amounts,
            "livemode": call.is_live,
            "pending": none,
        }

    def _retrieve(self, kind: str) -> Callable[[Call], Thing]:
        return lambda call: self._find(kind, call)

    def _line_items(self, call: Call) -> Thing:
        items = self._find(SESSION, call)["_line_items"]
        url = ITEMS_URL.replace("{id}", call.identifier)
        return _page(items, call.params, url, "item")

    def _list_sessions(self, call: Call) -> Thing:
        status = call.params.one_of("status", "open", "complete", "expired")
        intent = call.params.text("payment_intent")
        details = call.params.section("customer_details")
        email = details.text("email")
        sessions = (
            session
            for session in self._all(SESSION, call)
            if status in (None, session["status"])
            and intent in (None, session["payment_intent"])
            and email in (None, session["customer_email"])
        )
        return _page(sessions, call.params, "/v1/checkout/sessions", SESSION)

    def _list_plain(self, kind: str) -> Callable[[Call], Thing]:
        url = f"/v1/{kind}s"
        return lambda call: _page(self._all(kind, call), call.params, url, kind)

    def _list_of_intent(self, kind: str) -> Callable[[Call], Thing]:
        def run(call: Call) -> Thing:
            intent = call.params.text("payment_intent")
            charge = call.params.text("charge") if kind == REFUND else None
            things = (
                thing
                for thing in self._all(kind, call)
                if intent in (None, thing["payment_intent"])
                and charge in (None, thing.get("charge"))
            )
            return _page(things, call.params, f"/v1/{kind}s", kind)

        return run

    def _list_events(self, call: Call) -> Thing:
        types = call.params.texts("types")
        only = call.params.text("type")
        if only is not None:
            types.append(only)
        events = (event for event in self._all(EVENT, call) if not types or event["type"] in types)
        return _page(events, call.params, "/v1/events", EVENT)

    # Small things

    def _all(self, kind: str, call: Call) -> Iterable[Thing]:
        """The newest first, as lists have them."""
        is_created = _is_created(call.params)
        return (
            each
            for each in self._store.newest(kind)
            if livemode(each) == call.is_live and is_created(each)
        )

    def _find(self, kind: str, call: Call, param: str | None = None) -> Thing:
        param = param or {SESSION: "session", INTENT: "intent"}.get(kind, "id")
        return self._account.find(kind, call.identifier, is_live=call.is_live, param=param)

    def _expand(self, thing: Any, steps: list[str], path: str) -> None:
        """Puts the object itself into the place of its id."""
        if len(steps) > EXPANSION_DEPTH_MAX:
            message = "You cannot expand more than 4 levels of a property."
            raise ApiError(message, param="expand")
        if isinstance(thing, list):
            for each in thing:
                self._expand(each, steps, path)
            return
        name, *rest = steps
        if name == "line_items" and thing.get("object") == SESSION:
            items = self._store.get(SESSION, thing["id"])["_line_items"]
            url = ITEMS_URL.replace("{id}", thing["id"])
            thing[name] = _page(items, Params({}), url, "item")
        elif name == "refunds" and thing.get("object") == CHARGE:
            made = self._store.get(CHARGE, thing["id"]).get("_refunds", ())
            refunds = [self._store.get(REFUND, each) for each in reversed(made)]
            thing[name] = _page(refunds, Params({}), f"/v1/charges/{thing['id']}/refunds", REFUND)
        elif name not in thing:
            message = f"This property cannot be expanded ({path})."
            raise ApiError(message, code="parameter_invalid", param="expand")
        elif isinstance(thing[name], str):
            kind = _PREFIXES.get(thing[name][:3])
            if kind is None:
                message = f"This property cannot be expanded ({path})."
                raise ApiError(message, code="parameter_invalid", param="expand")
            thing[name] = objects.shown(self._store.get(kind, thing[name]))
        if rest and thing[name] is not None:
            self._expand(thing[name], rest, path)


def _page(
    things: Iterable[Thing],
    params: Params,
    url: str,
    what: str,
) -> Thing:
    """One page of a list: `limit` of them, after or before one that the caller has."""
    limit = params.whole("limit", 1, LIMIT_MAX) or LIMIT_USUAL
    after, before = params.text("starting_after"), params.text("ending_before")
    found = [*things]
    if after is not None:
        found = found[_place(found, after, what, "starting_after") + 1 :]
    if before is not None:
        # Those next to it, in the order of the list.
        found = found[: _place(found, before, what, "ending_before")][::-1]
    page = found[:limit]
    return {
        "object": "list",
        "data": [objects.shown(thing) for thing in (page[::-1] if before is not None else page)],
        "has_more": len(found) > limit,
        "url": url,
    }


def _is_created(params: Params) -> Callable[[Thing], bool]:
    """Whether something was created at the time, or between the times, that `created` names."""
    if "created" not in params:
        return lambda thing: True
    if not params.is_section("created"):
        exactly = params.whole("created")
        return lambda thing: bool(thing["created"] == exactly)
    bounds = params.section("created")
    gt, gte = bounds.whole("gt"), bounds.whole("gte")
    lt, lte = bounds.whole("lt"), bounds.whole("lte")
    return lambda thing: (
        (gt is None or thing["created"] > gt)
        and (gte is None or thing["created"] >= gte)
        and (lt is None or thing["created"] < lt)
        and (lte is None or thing["created"] <= lte)
    )


def _place(things: list[Thing], identifier: str, what: str, param: str) -> int:
    for place, thing in enumerate(things):
        if thing["id"] == identifier:
            return place
    raise missing(what, identifier, param)


def _json(thing: Thing) -> bytes:
    return orjson.dumps(thing, option=orjson.OPT_INDENT_2)


def _check_same(before: Thing, request: Request, key: str, print_: str) -> None:
    if before["path"] != request.path:
        raise ApiError(
            "Keys for idempotent requests can only be used for the same endpoint they were first "
            f"used for ('{request.path}' vs '{before['path']}'). Try using a key other than "
            f"'{key}' if you meant to execute a different request.",
            kind=IDEMPOTENCY,
        )
    if before["print"] != print_:
        raise ApiError(
            "Keys for idempotent requests can only be used with the same parameters they were "
            f"first used with. Try using a key other than '{key}' if you meant to execute a "
            "different request.",
            kind=IDEMPOTENCY,
        )


def _in_use(key: str) -> ApiError:
    return ApiError(
        "There is currently another in-progress request using this idempotent key (that probably "
        "means you submitted twice, and the other request is still going through): "
        f"{key}. Please try again later.",
        status=409,
        kind=IDEMPOTENCY,
        code="idempotency_key_in_use",
    )


def _broken() -> ApiError:
    return ApiError("An unknown error occurred.", status=500, kind=API)


async def _before(rule: Rule | None) -> None:
    if rule is None:
        return
    if rule.what == "slow":
        await asyncio.sleep(rule.seconds)
    if rule.what == "cut":
        raise CutError
    if rule.what == "error":
        raise _broken()


async def _after(rule: Rule | None) -> None:
    if rule is None:
        return
    if rule.what == "slow_after":
        await asyncio.sleep(rule.seconds)
    if rule.what == "cut_after":
        raise CutError
    if rule.what == "error_after":
        raise _broken()
