"""What one host of a shop says of itself each second, and how it travels.

A report is JSON that several releases read: a field that a reader does not know is passed over, and
one that is missing has its default. So a field may be added, and none may change its meaning.
"""

import hmac
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from tigerfans.settings.settings import Settings

DIGEST_HEX_DIGITS: Final = 16
_DIGESTED: Final = "A setting of a TigerFans shop"


class Sample(msgspec.Struct, frozen=True):
    """One second of a sequencer, or of all together; `time` in Unix seconds, averages None where no
    batch was sent.
    """

    time: float = 0.0
    held_per_second: float = 0.0
    paid_per_second: float = 0.0
    transfers_per_second: float = 0.0
    batch_transfers: float | None = None
    ledger_milliseconds: float | None = None
    queued_events: int = 0
    workers: int = 0
    clerks: int = 0

    @property
    def batches_per_second(self) -> float:
        return self.transfers_per_second / self.batch_transfers if self.batch_transfers else 0.0


class WorkerReport(msgspec.Struct, frozen=True):
    """A worker, or a clerk; its `version` is empty where it is of a release that does not say."""

    name: str = ""
    pid: int = 0
    version: str = ""
    # A digest of what it sells.
    offer: str = ""


class HostReport(msgspec.Struct, frozen=True):
    """One host, as its sequencer knows it; `instance` is another one after each start of that.

    Moments are in milliseconds since the epoch, by the host's own clock. `settings` has a digest of
    each setting that has to be the same on all hosts. `has_rival`: another sequencer calls itself
    by the same name.
    """

    name: str
    instance: str = ""
    version: str = ""
    clock_ms: int = 0
    started_ms: int = 0
    ledger: str = ""
    # TigerBeetle's, a number of 128 bits; empty for another ledger.
    cluster: str = ""
    workers: tuple[WorkerReport, ...] = ()
    clerks: tuple[WorkerReport, ...] = ()
    sample: Sample = Sample()
    settings: Mapping[str, str] = {}
    has_rival: bool = False

    def pack(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def unpack(cls, name: str, packed: bytes) -> "HostReport":
        """The report of the host called `name`; one that cannot be read says nothing but that."""
        try:
            return msgspec.structs.replace(_DECODER.decode(packed), name=name)
        except msgspec.MsgspecError:
            return cls(name)


_DECODER: Final = msgspec.json.Decoder(HostReport)


def setting_digests(settings: Settings) -> Mapping[str, str]:
    """Enough of each setting to tell another value, and nothing of the value itself.

    The ticket secret is the key, so that nobody who reads them can try passwords.
    """
    key = settings.ticket_secret.encode()
    return {
        name: hmac.digest(key, f"{_DIGESTED}: {name}={value}".encode(), "sha256").hex()[
            :DIGEST_HEX_DIGITS
        ]
        for name, value in settings.shared().items()
    }


def summed(samples: Iterable[Sample]) -> Sample:
    """What several hosts did together, in the second of the first of them."""
    first, *_ = every = list(samples)
    transfers = sum(each.transfers_per_second for each in every)
    batches = sum(each.batches_per_second for each in every)
    ledger_milliseconds = sum(
        each.batches_per_second * (each.ledger_milliseconds or 0.0) for each in every
    )
    return Sample(
        time=first.time,
        held_per_second=sum(each.held_per_second for each in every),
        paid_per_second=sum(each.paid_per_second for each in every),
        transfers_per_second=transfers,
        batch_transfers=transfers / batches if batches else None,
        ledger_milliseconds=ledger_milliseconds / batches if batches else None,
        queued_events=sum(each.queued_events for each in every),
        workers=sum(each.workers for each in every),
        clerks=sum(each.clerks for each in every),
    )
