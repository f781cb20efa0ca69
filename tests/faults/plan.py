"""What one seed means: which buyers come, which faults strike, and how the shop is set up.

Pure data, the same for the same seed, so that a failure can be repeated: its moment still depends
on the machine, its cause does not. Faults are dealt from a deck that holds each of them, shuffled
again when it is empty; so a run of a deck's length meets every one.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from random import Random

from tigerfans.offer.catalog import ClassCode

SERVERS = ("postgres", "redis")
SHOP_PROCESSES = ("sequencer", "worker-1", "worker-2", "clerk-1")

# Mostly shorter than the worker's deadline for the ledger, at times longer.
STOP_SECONDS = (0.3, 1.0, 1.0, 2.0, 5.0)
FULL_DISK_SECONDS = (1.0, 3.0, 6.0)
CLOSED_SECONDS = (0.5, 1.0, 2.0)
MAIL_AWAY_SECONDS = (1.0, 3.0, 6.0)
PROVIDER_SECONDS = (1.0, 3.0, 6.0)
# Room for what a run writes; TigerBeetle takes more than a gigabyte of it at once.
DISK_BYTES = 512 << 20
TIGERBEETLE_DISK_BYTES = 3 << 30
# One expires while the shop is looked at; the other outlasts every run.
HOLD_SECONDS = (2, 3600)
# A run ends later than holds this short.
SHORT_HOLD_SECONDS_MAX = 10
# Time enough to be led to the provider's own page.
STRIPE_HOLD_SECONDS = (SHORT_HOLD_SECONDS_MAX, 3600)
# Of so many that hardly any is drawn twice.
PRICE_CENTS_MIN, PRICE_CENTS_MAX = 100, 20_000
CLASSES = ("A", "B")
# A buyer takes as many at once, or fewer.
TICKETS_PER_ORDER = 4
# In a deck.
REFUNDS, RESTOCKINGS = 3, 2

MOCK_SECRET = "secret-of-the-provider"
# Of a run's own, so that they can be looked for where they must not be.
SECRETS = {
    "MOCK_SECRET": MOCK_SECRET,
    "ADMIN_PASSWORD": "secret-of-the-operator",
    "TIGERFANS_TICKET_SECRET": "secret-of-the-tickets",
}


class FaultKind(StrEnum):
    KILL = "kill"
    # One of PostgreSQL's own processes: the others restart from their log.
    KILL_BACKEND = "kill-backend"
    # The supervisor, and with it every process; then the shop is started again.
    KILL_ALL = "kill-all"
    # The same, and the first start finds an empty ledger in place of its own.
    LOSE_LEDGER = "lose-ledger"
    STOP = "stop"
    FLUSH = "flushall"
    FULL_DISK = "full-disk"
    # Half a frame, and then the end, on a connection that is in use.
    CUT = "cut"
    RELOAD = "reload"
    # The same, by workers that sell at other prices.
    REPRICE = "reprice"
    # The server that takes the shop's mails.
    MAIL_AWAY = "mail-away"
    # The payment provider's own: SIGKILL and, after some seconds, a start on the same data; 500s
    # before the work and after it; answers that take long; connections that end before the work and
    # after it; 429s; and no webhooks for a while.
    PROVIDER_KILL = "provider-kill"
    PROVIDER_FAILS = "provider-fails"
    PROVIDER_SLOW = "provider-slow"
    PROVIDER_CUTS = "provider-cuts"
    PROVIDER_LIMITS = "provider-limits"
    WEBHOOKS_STOP = "webhooks-stop"
    # No faults: the owner gives money back, adds tickets or takes some away, and closes a sale for
    # a while, as faults strike.
    REFUND = "refund"
    RESTOCK = "restock"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Fault:
    """`target` is a process, or for a cut the one at the other end of a worker's connection.

    `prices` are what one ticket of each class costs from then on, in cents.
    """

    kind: FaultKind
    target: str = ""
    seconds: float = 0.0
    prices: Mapping[ClassCode, int] = field(default_factory=dict)

    def __str__(self) -> str:
        seconds = f" for {self.seconds:g} s" if self.seconds else ""
        prices = "".join(f" {cls}={price_cents}" for cls, price_cents in self.prices.items())
        return f"{self.kind} {self.target}".rstrip() + seconds + prices


class Intent(StrEnum):
    PAY = "pay"
    PAY_AT_MOCKPAY = "pay at MockPay's page"
    FAIL = "fail"
    CANCEL = "cancel"
    FAIL_THEN_PAY = "fail, then pay"
    # Two events about one order that race each other.
    PAY_AND_FAIL = "pay and fail"
    PAY_LATE = "pay when the hold is gone"
    ABANDON = "abandon"
    # Where the provider has a page of its own, and methods that take days.
    PAY_IN_TWO_TABS = "pay in two tabs"
    DECLINED_THEN_PAY = "declined, then pay"
    DECLINED = "declined"
    DEBIT = "pay by a debit"
    DEBIT_FAILS = "a debit that fails"
    SESSION_ENDED = "the session is ended at the provider"


class Delivery(StrEnum):
    """What the network does to a webhook before it gets through."""

    PLAIN = "plain"
    LOST = "lost"
    ANSWER_LOST = "answer lost"
    DUPLICATED = "duplicated"
    OVERTAKEN = "overtaken"
    # Something answers 200 in the shop's place, so that the shop has to ask.
    NEVER_TOLD = "never told"


DISTURBANCES = tuple(kind for kind in Delivery if kind is not Delivery.PLAIN)


@dataclass(frozen=True, slots=True)
class Ways:
    """What a run by one payment provider is made of.

    A checkout sends its buyer to `page`. Buyers do what `intents` has, by its weights; those of
    whom nobody tells the shop do `asked_about`. Where Redis has forgotten the email of an order,
    those in `email_unknown` may pay without one. Those in `remembered` have the shop's cookie of
    their hold. With `has_line` it refuses whoever could not pay in time. `faults` strike the
    provider.
    """

    page: str
    intents: Mapping[Intent, int]
    asked_about: Intent
    email_unknown: Collection[Intent]
    hold_seconds: Sequence[int]
    remembered: Collection[Intent] = ()
    has_line: bool = False
    faults: Sequence[FaultKind] = ()


MOCKPAY = Ways(
    page="/mockpay/mock_{order_id}",
    intents={
        Intent.PAY: 66,
        Intent.PAY_AT_MOCKPAY: 8,
        Intent.FAIL: 6,
        Intent.CANCEL: 4,
        Intent.FAIL_THEN_PAY: 5,
        Intent.PAY_AND_FAIL: 4,
        Intent.PAY_LATE: 4,
        Intent.ABANDON: 3,
    },
    # What is paid there MockPay remembers, and can be asked for.
    asked_about=Intent.PAY_AT_MOCKPAY,
    # It has no memory of its own.
    email_unknown=(Intent.PAY_AT_MOCKPAY,),
    hold_seconds=HOLD_SECONDS,
)
STRIPE = Ways(
    page="/pay/{order_id}",
    intents={
        Intent.PAY: 52,
        Intent.PAY_IN_TWO_TABS: 4,
        Intent.DECLINED_THEN_PAY: 8,
        Intent.DECLINED: 5,
        Intent.DEBIT: 9,
        Intent.DEBIT_FAILS: 5,
        Intent.PAY_LATE: 7,
        Intent.SESSION_ENDED: 5,
        Intent.ABANDON: 5,
    },
    asked_about=Intent.PAY,
    # Its page asks for it where the shop gave none: these end before anybody answers.
    email_unknown=(Intent.PAY_LATE, Intent.SESSION_ENDED),
    hold_seconds=STRIPE_HOLD_SECONDS,
    # They give it back.
    remembered=(Intent.PAY_LATE,),
    has_line=True,
    faults=(
        FaultKind.PROVIDER_KILL,
        FaultKind.PROVIDER_FAILS,
        FaultKind.PROVIDER_SLOW,
        FaultKind.PROVIDER_CUTS,
        FaultKind.PROVIDER_LIMITS,
        FaultKind.WEBHOOKS_STOP,
    ),
)
WAYS = {"mockpay": MOCKPAY, "stripe": STRIPE}


@dataclass(frozen=True, slots=True)
class BuyerPlan:
    """One buyer. Without a key, an answer that is lost is an order nobody knows."""

    number: int
    cls: ClassCode
    qty: int
    email: str
    idempotency_key: str | None
    intent: Intent
    delivery: Delivery
    # The button was pressed twice, or the browser closed before it read the answer.
    checks_out_twice: bool
    hangs_up: bool


@dataclass(frozen=True, slots=True)
class RunPlan:
    """One run: a seed, and how much of everything.

    `disturbed_percent` of the webhooks do not get through as they were sent; a fault strikes about
    every `fault_seconds`, while buyers come, `rate` of them a second. There are faults of `kinds`
    only.
    """

    seed: int
    ledger: str = "embedded"
    provider: str = "mockpay"
    orders: int = 300
    rate: float = 20.0
    fault_seconds: float = 0.48
    disturbed_percent: float = 10.0
    kinds: tuple[FaultKind, ...] = tuple(FaultKind)
    tickets_per_order: int = TICKETS_PER_ORDER

    @property
    def fault_count(self) -> int:
        """How many faults strike: as many as there is time for where nothing is late."""
        count = max(1, round(self.orders / self.rate / self.fault_seconds))
        return count if self.deck(Random()) else 0

    @property
    def ways(self) -> Ways:
        return WAYS[self.provider]

    @property
    def hold_seconds(self) -> int:
        return self._chance("settings").choice(self.ways.hold_seconds)

    @property
    def has_short_holds(self) -> bool:
        """Whether they expire before the run is over."""
        return self.hold_seconds <= SHORT_HOLD_SECONDS_MAX

    @property
    def tickets_a(self) -> int:
        """Too few for all who want some."""
        return self._tickets // 4

    @property
    def tickets_b(self) -> int:
        """Enough for everybody: whoever hears "sold out" here was lied to."""
        return 2 * self._tickets

    @property
    def _tickets(self) -> int:
        """As many as there are buyers for, roughly."""
        return self.orders * (self.tickets_per_order + 1) // 2

    @property
    def goodies(self) -> int:
        return self.orders // 5

    def without_disk(self) -> "RunPlan":
        """The same where no file system can be mounted: only the embedded ledger has a stand-in."""
        if self.ledger == "embedded":
            return self
        kinds = tuple(kind for kind in self.kinds if kind is not FaultKind.FULL_DISK)
        return replace(self, kinds=kinds)

    @property
    def disk_bytes(self) -> int:
        """The size of the disk that the whole data folder is on; 0 where it is never full."""
        if FaultKind.FULL_DISK not in self.kinds:
            return 0
        return DISK_BYTES if self.ledger == "embedded" else TIGERBEETLE_DISK_BYTES

    @property
    def settings(self) -> dict[str, str]:
        """The shop's environment variables."""
        return {
            "TIGERFANS_WORKERS": "2",
            "TIGERFANS_TICKETS_A": str(self.tickets_a),
            "TIGERFANS_TICKETS_B": str(self.tickets_b),
            "TIGERFANS_GOODIES": str(self.goodies),
            "TIGERFANS_HOLD_SECONDS": str(self.hold_seconds),
            **SECRETS,
        }

    @property
    def command(self) -> str:
        """Repeats this run."""
        is_usual = self.kinds == tuple(FaultKind)
        kinds = "" if is_usual else " --kinds" + "".join(f" {kind}" for kind in self.kinds)
        provider = "" if self.ways is MOCKPAY else f" --provider {self.provider}"
        return (
            f"make faults ARGS='--seed {self.seed} --seeds 1 --ledger {self.ledger}{provider}"
            f" --orders {self.orders} --rate {self.rate:g} --fault-every {self.fault_seconds:g}"
            f" --disturbed {self.disturbed_percent:g} --tickets {self.tickets_per_order}{kinds}'"
        )

    def buyers(self) -> Iterator[BuyerPlan]:
        for number in range(self.orders):
            chance = self._chance(f"buyer {number}")
            is_disturbed = chance.random() < self.disturbed_percent / 100
            cls = chance.choice(CLASSES)
            has_key = chance.random() < 0.9
            intents = self.ways.intents
            intent = chance.choices(list(intents), list(intents.values()))[0]
            delivery = chance.choice(DISTURBANCES) if is_disturbed else Delivery.PLAIN
            if delivery is Delivery.NEVER_TOLD:
                intent = self.ways.asked_about
            yield BuyerPlan(
                number=number,
                cls=cls,
                qty=self._chance(f"tickets {number}").randint(1, self.tickets_per_order),
                email=f"buyer-{number}@example.org",
                idempotency_key=f"{self.seed}-{number}" if has_key else None,
                intent=intent,
                delivery=delivery,
                checks_out_twice=chance.random() < 0.1,
                hangs_up=chance.random() < 0.05,
            )

    def faults(self) -> Iterator[tuple[float, Fault]]:
        """Seconds to wait, and what happens then; none where there is nothing to deal."""
        chance = self._chance("faults")
        deck: list[Fault] = []
        for _ in range(self.fault_count):
            if not deck:
                deck = self.deck(chance)
                chance.shuffle(deck)
            yield chance.uniform(0.5, 1.5) * self.fault_seconds, deck.pop(0)

    def deck(self, chance: Random) -> list[Fault]:
        """Every fault once; how long each lasts, and the prices that come, are drawn."""
        processes: Sequence[str] = (*SERVERS, *SHOP_PROCESSES)
        if self.ledger != "embedded":
            processes = (*processes, "tigerbeetle")
        deck = [Fault(FaultKind.KILL, name) for name in processes]
        deck += [Fault(FaultKind.STOP, name, chance.choice(STOP_SECONDS)) for name in processes]
        deck += [Fault(FaultKind.CUT, name) for name in ("sequencer", *SERVERS)]
        deck += map(
            Fault, (FaultKind.KILL_ALL, FaultKind.LOSE_LEDGER, FaultKind.FLUSH, FaultKind.RELOAD)
        )
        deck += [Fault(FaultKind.KILL_BACKEND, "postgres")]
        deck.append(Fault(FaultKind.FULL_DISK, seconds=chance.choice(FULL_DISK_SECONDS)))
        deck.append(Fault(FaultKind.MAIL_AWAY, seconds=chance.choice(MAIL_AWAY_SECONDS)))
        deck += [Fault(FaultKind.REFUND)] * REFUNDS + [Fault(FaultKind.RESTOCK)] * RESTOCKINGS
        deck.append(Fault(FaultKind.CLOSE, seconds=chance.choice(CLOSED_SECONDS)))
        prices = {cls: chance.randint(PRICE_CENTS_MIN, PRICE_CENTS_MAX) for cls in CLASSES}
        deck.append(Fault(FaultKind.REPRICE, prices=prices))
        deck += [Fault(kind, seconds=chance.choice(PROVIDER_SECONDS)) for kind in self.ways.faults]
        return [fault for fault in deck if fault.kind in self.kinds]

    def _chance(self, purpose: str) -> Random:
        """Chances of one purpose do not depend on how many another one took."""
        return Random(f"{self.seed} {purpose}")
