"""What a client says it takes: `Accept-Encoding` and `Accept`, with their weights.

A weight of 0 means "not this", whatever else stands in the header (RFC 9110, 12.4.2).
"""

from contextlib import suppress
from typing import Final

# What is named without a weight has this one.
_FULL: Final = 1.0


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an answer may be packed by gzip."""
    weights = _weights(accept_encoding)
    weight = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return weight > 0 and weight >= weights.get("identity", 0.0)


def takes_page(accept: str) -> bool:
    """Whether an answer should be a page: who goes somewhere with a browser names `text/html`."""
    weights = _weights(accept)
    weight = weights.get("text/html", 0.0)
    return weight > 0 and weight >= weights.get("application/json", 0.0)


def _weights(header: str) -> dict[str, float]:
    """What is named, in lower case, each with its weight."""
    weights: dict[str, float] = {}
    for entry in header.lower().split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        weight = _FULL
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                with suppress(ValueError):
                    weight = float(value)
        weights[name] = weight
    return weights
