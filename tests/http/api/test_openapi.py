"""The description of the interface, and the show's offer: what others build on."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from html import unescape
from typing import Any

import httpx
import msgspec
import pytest
from litestar.routes import ASGIRoute

from tests.http.asgi import client_of_app
from tests.offers import OFFER, SHOW, catalog_with
from tests.shops import OpenShop
from tigerfans.errors import OrderEndedError, ShopError
from tigerfans.http.api.documents import DOCUMENTS, OF_ONE_TICKET
from tigerfans.http.api.openapi import (
    DOCUMENT_WORDS,
    MODELS,
    OF_ONE_TICKET_WORDS,
    examples,
    inventory_answer,
)
from tigerfans.http.api.show import ShowAnswer
from tigerfans.http.app import create_app
from tigerfans.http.problems import RefusalAnswer
from tigerfans.office.permissions import Permission, roles_with
from tigerfans.payments.mockpay import MockPay
from tigerfans.settings.settings import LimitSettings, Settings
from tigerfans.shop.checkout import ENDED
from tigerfans.shop.shop import Shop

SETTINGS = Settings(bench=True)
# The door's keys are everybody's.
SCANNING = [f"/api/door/{name}" for name in ("scans", "undo", "figures", "ends", "frames")]


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    mockpay = shop.provider
    assert isinstance(mockpay, MockPay)
    async with client_of_app(create_app(SETTINGS, shop, mockpay)) as client:
        yield client


@pytest.fixture
async def schema(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/schema/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (
        200,
        "application/vnd.oai.openapi+json",
    )
    described: dict[str, Any] = answer.json()
    return described


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in schema["paths"].items():
        for method in item:
            yield path, item[method]


async def test_every_json_route_is_described(schema: dict[str, Any], shop: Shop) -> None:
    paths = set(schema["paths"])
    assert {"/api/show", "/api/orders/{order_id}", "/api/admin/orders", "/readyz"} <= paths
    raw = [r.path for r in create_app(SETTINGS, shop, None).routes if isinstance(r, ASGIRoute)]
    # Litestar describes its own routes, but the raw ones have to be described by hand.
    for path in raw:
        assert any(p == path or p.startswith(f"{path}/") for p in paths), path


async def test_an_amount_is_told_in_the_unit_of_whatever_currency_the_shop_sells_in(
    open_shop: OpenShop,
) -> None:
    offer = replace(OFFER, currency="jpy")
    shop: Shop = await open_shop(offer=offer)
    app = create_app(Settings(offer=offer), shop, None)
    async with client_of_app(app) as client:
        schema = (await client.get("/schema/openapi.json")).text
    assert not re.search(r"\bcents?\b", schema)
    assert '"currency":"jpy"' in schema


async def test_every_operation_has_a_name_a_sentence_a_tag_and_models_of_its_errors(
    schema: dict[str, Any],
) -> None:
    tags = {tag["name"] for tag in schema["tags"]}
    names = []
    for path, operation in operations(schema):
        names.append(operation["operationId"])
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", operation["operationId"])
        assert re.fullmatch(r"[A-Z].+\.", operation["summary"]), path
        assert set(operation["tags"]) <= tags, path
        is_operators = "/admin" in path or path == "/api/pending" or path in SCANNING
        security = operation.get("security", [])
        if is_operators:
            [[permission]] = [each["operator"] for each in security]
            roles = " or ".join(roles_with(Permission(permission)))
            assert f"the role {roles}." in operation["responses"]["403"]["description"]
        else:
            assert security == ([{"provider": []}] if path == "/payments/webhook" else [])
        for status, answer in operation["responses"].items():
            if status >= "400":
                [content] = answer["content"].values()
                assert content["schema"]["$ref"].endswith(("ProblemAnswer", "RefusalAnswer")) or (
                    path == "/readyz"
                )
    assert len(set(names)) == len(names)


def test_every_document_is_described_as_what_it_is() -> None:
    assert {name: words[0] for name, words in DOCUMENT_WORDS.items()} == {
        name: media_type.decode().partition(";")[0] for name, (media_type, _) in DOCUMENTS.items()
    }
    assert {name: words[0] for name, words in OF_ONE_TICKET_WORDS.items()} == {
        name: DOCUMENT_WORDS[name][0] for name in OF_ONE_TICKET
    }


async def test_every_model_that_is_named_is_there(schema: dict[str, Any]) -> None:
    named = set(re.findall(r"'#/components/schemas/(\w+)'", str(schema)))
    assert named
    assert named <= set(schema["components"]["schemas"])


CATALOG = catalog_with({"A": 10, "B": 10})


@pytest.mark.parametrize("name", examples(CATALOG))
def test_an_example_is_one_of_its_model(name: str) -> None:
    models = {model.__name__: model for model in (*MODELS, inventory_answer(["A", "B"]))}
    example = examples(CATALOG)[name]
    assert msgspec.to_builtins(msgspec.convert(example, models[name])) == example


def test_the_schema_knows_the_classes_that_can_be_bought_and_orders_may_be_of_others(
    schema: dict[str, Any],
) -> None:
    models = schema["components"]["schemas"]
    for model in ("CheckoutBody", "TicketClassAnswer"):
        assert models[model]["properties"]["cls"]["enum"] == ["A", "B"]
    for model in ("OrderAnswer", "OrderItem", "RevenueItem"):
        assert "enum" not in models[model]["properties"]["cls"]
    assert list(models["InventoryAnswer"]["properties"]) == ["A", "B"]


def every(kind: type[ShopError]) -> Iterator[type[ShopError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from every(narrower)


def test_what_a_program_reads_of_an_error_is_in_its_model() -> None:
    fields = [kind.fields for kind in every(ShopError) if kind.status in (400, 409)]
    fields += [OrderEndedError(words, status).fields for status, words in ENDED.items()]
    for each in fields:
        assert set(each) <= set(RefusalAnswer.__struct_fields__)
        msgspec.convert({"detail": "A sentence.", **each}, RefusalAnswer)


async def test_the_show_says_all_that_a_front_end_needs_but_the_stock(open_shop: OpenShop) -> None:
    shop = await open_shop(tickets_a=7, prices={"A": 7100}, hold_seconds=90)
    links = {"Imprint": "https://example.org/imprint"}
    limits = LimitSettings(holds_per_client=20)
    settings = replace(SETTINGS, limits=limits, demo=True, links=links)
    async with client_of_app(create_app(settings, shop, mockpay=None)) as client:
        answer = await client.get("/api/show")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    show = msgspec.json.decode(answer.content, type=ShowAnswer)
    assert (show.name, show.venue) == (SHOW.name, SHOW.venue)
    assert show.starts_at == SHOW.starts_at.isoformat() == "2099-06-19T20:00:00+02:00"
    assert [(c.cls, c.name, c.price, c.capacity) for c in show.classes] == [
        ("A", "Premium", 7100, 7),
        ("B", "Standard", 3500, 10),
    ]
    assert all(c.perks for c in show.classes)
    assert (show.currency, show.goodies, show.hold_seconds) == ("eur", 2, 90)
    assert (show.limits.holds_per_client, show.limits.holds_per_email) == (20, 0)
    assert (show.limits.tickets_per_order, show.limits.email_characters) == (1, 254)
    assert (show.payment.provider, show.payment.demo) == ("MockPay", True)
    assert show.links == links


async def test_the_page_lists_every_operation_without_a_script_and_loads_only_what_is_ours(
    client: httpx.AsyncClient, schema: dict[str, Any]
) -> None:
    answer = await client.get("/schema")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for _, operation in operations(schema):
        assert operation["summary"] in unescape(answer.text)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
    assert "unsafe" not in policy
    loaded = re.findall(r'<(?:script|link)[^>]+(?:src|href)="([^"]+)"', answer.text)
    assert len([url for url in loaded if url.startswith("/schema/viewer/")]) == 2
    for url in loaded:
        assert (await client.get(url)).status_code == 200, url
    assert (await client.get("/schema/viewer/0.0/swagger-ui.css")).status_code == 404
