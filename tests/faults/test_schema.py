"""The shop's own description of its interface, taken at its word by a generator of requests."""

from contextlib import suppress

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.faults.exchange import HOST
from tests.faults.stack import FaultyShop
from tigerfans.settings.settings import DEFAULT_ADMIN_PASSWORD

EXAMPLES = 6
# No 5xx, no status and no type that is not described, and no answer that is not of its model.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
OPERATOR = ("admin", DEFAULT_ADMIN_PASSWORD)
# What the shop has to describe, whoever forgets to: the routes of the contract.
ROUTES = {
    "POST /api/checkout",
    "POST /payments/webhook",
    "GET /api/orders/{order_id}",
    "GET /api/inventory",
    "GET /api/show",
    "GET /api/admin/orders",
    "GET /api/pending",
}


def test_every_request_that_the_schema_allows_or_nearly_allows_is_answered_as_it_says(
    shop: FaultyShop,
) -> None:
    schema = schemathesis.openapi.from_url(f"http://{HOST}:{shop.port}/schema/openapi.json")
    asked = set()
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        asked.add(operation.label)
        for mode in GenerationMode:

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def ask(case: schemathesis.Case) -> None:  # type: ignore[type-arg]
                response = case.call(auth=OPERATOR)
                case.validate_response(response, checks=CHECKS)

            # What takes no input cannot be given a wrong one.
            with suppress(Unsatisfiable):
                ask()
    assert asked >= ROUTES
