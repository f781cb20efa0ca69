"""Which part of a merged reply belongs to which request. Pure: bytes in, bytes out.

The ledger answers a merged batch as if one caller had asked: results follow the order of the
records. Relies on the sizes of `ledger.wire`.
"""

from collections.abc import Sequence

from tigerfans.ledger.wire import ACCOUNT_SIZE, ID_SIZE, RESULT_SIZE, TRANSFER_SIZE


class RoutingError(Exception):
    """The ledger's reply does not fit what it was asked."""


def cut_results(payloads: Sequence[bytes], results: bytes) -> list[bytes]:
    """For creates: each request's results, 16 bytes for each account or transfer of 128."""
    parts = []
    start = 0
    for payload in payloads:
        end = start + len(payload) // TRANSFER_SIZE * RESULT_SIZE
        parts.append(results[start:end])
        start = end
    if start != len(results):
        raise RoutingError(f"the ledger sent {len(results)} bytes of results, not {start}")
    return parts


def cut_records(payloads: Sequence[bytes], records: bytes) -> list[bytes]:
    """For lookups: each request's 128-byte records, in the order of the ids that were found.

    A record belongs to the next id that equals its own; the ids between them were not found.
    """
    parts = []
    start = 0
    for payload in payloads:
        end = start
        for id_start in range(0, len(payload), ID_SIZE):
            if records[end : end + ID_SIZE] == payload[id_start : id_start + ID_SIZE]:
                end += ACCOUNT_SIZE
        parts.append(records[start:end])
        start = end
    if start != len(records):
        raise RoutingError("the ledger sent records that nobody asked for, or in another order")
    return parts


def uncut(payloads: Sequence[bytes], records: bytes) -> list[bytes]:
    """For filters, which are submitted one by one: the whole reply."""
    if len(payloads) != 1:
        raise RoutingError(f"{len(payloads)} filters cannot share a reply")
    return [records]
