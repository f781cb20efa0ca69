"""Holds an answer to the library's own classes, which are made of Stripe's specification."""

import types
from collections.abc import Iterator
from decimal import Decimal
from inspect import get_annotations
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin

import stripe
from stripe._stripe_object import UntypedStripeObject


def differences(kind: Any, value: Any, place: str) -> Iterator[str]:
    """In words: what is missing, what there is not, and what has another type or value."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return
    if isinstance(kind, (str, ForwardRef)):
        # An object of a class that the annotation could only name.
        named = kind if isinstance(kind, str) else kind.__forward_arg__
        yield from differences(getattr(stripe, named), value, place)
    elif origin in (Union, types.UnionType):
        yield from _of_one(_choices(arguments), value, place)
    elif origin is Literal:
        if value not in arguments:
            yield f"{place} is {value!r}, which is none of {arguments}"
    elif origin is list:
        yield from _of_all(arguments[0], value, place)
    elif origin is stripe.ListObject:
        yield from _of_object(
            origin, value, place, {"data": types.GenericAlias(list, arguments), "object": str}
        )
    elif origin is UntypedStripeObject or kind is UntypedStripeObject:
        if not isinstance(value, dict):
            yield f"{place} is {value!r}, no object"
    elif isinstance(kind, type) and issubclass(kind, stripe.StripeObject):
        yield from _of_object(kind, value, place, {})
    else:
        # A decimal is written as text, which the library reads.
        fitting = (Decimal, str) if kind is Decimal else (kind,)
        if type(value) not in fitting:
            yield f"{place} is {value!r}, no {kind.__name__}"


def _choices(arguments: tuple[Any, ...]) -> list[Any]:
    """Where values are listed, the library takes any text besides, and this does not."""
    is_listed = any(get_origin(each) is Literal for each in arguments)
    return [each for each in arguments if not (is_listed and each is str)]


def _of_one(choices: list[Any], value: Any, place: str) -> Iterator[str]:
    if value is None and type(None) in choices:
        return
    kinds = [choice for choice in choices if choice is not type(None)]
    found = [list(differences(kind, value, place)) for kind in kinds]
    # The nearest.
    yield from min(found, key=len)


def _of_all(kind: Any, value: Any, place: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{place} is {value!r}, no list"
        return
    for number, each in enumerate(value):
        yield from differences(kind, each, f"{place}[{number}]")


def _of_object(kind: Any, value: Any, place: str, known: dict[str, Any]) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place} is {value!r}, no object"
        return
    fields = _fields(kind) | known
    remapped = {own: shown for shown, own in kind._field_remappings.items()}
    for name, annotation in fields.items():
        shown = remapped.get(name, name)
        if shown in value:
            yield from differences(annotation, value[shown], f"{place}.{shown}")
        elif type(None) not in get_args(annotation):
            yield f"{place}.{shown} is missing"
    for name in value.keys() - {remapped.get(name, name) for name in fields}:
        yield f"{place}.{name} is none of the library's fields"


def _fields(kind: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in reversed(kind.__mro__):
        if each.__module__.startswith("stripe.") and each is not stripe.StripeObject:
            annotations = get_annotations(each)
            found |= {n: a for n, a in annotations.items() if not n.startswith("_")}
    return {name: annotation for name, annotation in found.items() if not name.isupper()}
