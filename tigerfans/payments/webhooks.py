"""What the webhooks of all providers have in common: a signature to check and JSON to read."""

import hmac
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from tigerfans.json_input import InvalidJsonError, decode
from tigerfans.payments.base import InvalidWebhookError, UnreadableWebhookError

T = TypeVar("T")


def check_signature(expected: Iterable[str], given: str | None) -> None:
    """Raises `InvalidWebhookError` unless `given` is one of the signatures that are `expected`.

    Every one is compared, in constant time: the time taken tells nothing about which one fitted.
    """
    word = (given or "").encode()
    matches = [hmac.compare_digest(signature.encode(), word) for signature in expected]
    if not any(matches):
        raise InvalidWebhookError


def read_json(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The body as the decoder's type; raises `UnreadableWebhookError` where it is none.

    To be called once the signature was checked.
    """
    try:
        return decode(decoder, body)
    except InvalidJsonError as error:
        raise UnreadableWebhookError(f"The webhook's body is not valid: {error}.") from None
