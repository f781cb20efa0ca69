"""Reads an offer from its file, and names every mistake in it with its line.

A file is read as a whole or not at all: `OfferError` has all that is wrong. Prices are decimal
numbers from the file on, never floats in between. Times without an offset are those of the venue's
zone; one that a change of clocks leaves out, or brings twice, is a mistake.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import msgspec

from tigerfans.offer.catalog import GOODIES_LEDGER
from tigerfans.offer.lines import Lines
from tigerfans.offer.lines import Path as Place
from tigerfans.offer.money import currencies, digits_of, smallest_units
from tigerfans.offer.offer import Goodie, Listing, Logo, Offer
from tigerfans.offer.show import Show, moment_words
from tigerfans.offer.tables import CLASSES_MAX, ClassTable, GoodieTable, LimitsTable, ShowTable
from tigerfans.offer.windows import Window

DEMO_FILE: Final = Path(__file__).with_name("demo.toml")

FILE_BYTES_MAX: Final = 256 * 1024
LOGO_BYTES_MAX: Final = 64 * 1024
PRICE_UNITS_MAX: Final = 100_000_000
# On an order an amount is a number of four bytes.
AMOUNT_UNITS_MAX: Final = 2**31 - 1
VAT_PERCENT_MAX: Final = 100
# Of moments that can be written in every zone.
YEAR_MIN: Final = 1970
YEAR_MAX: Final = 9_998
# How much of a key has to be right for another one to be meant.
LIKENESS_MIN: Final = 0.6

_PNG_START: Final = b"\x89PNG\r\n\x1a\n"
_SVG: Final = "{http://www.w3.org/2000/svg}svg"

# Of a table, the fields that are right.
_Read = dict[str, Any]
# When the show starts, and when it ends.
_Hours = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, in words that fit behind its line."""

    line: int
    words: str


class OfferError(Exception):
    """An offer cannot be read; the message names the first mistake, `mistakes` are all of them."""

    def __init__(self, path: Path, mistakes: list[Mistake]) -> None:
        self.path = path
        self.mistakes = sorted(mistakes, key=lambda mistake: mistake.line)
        first, *more = self.sentences
        rest = f" (and {len(more)} more: `tigerfans offer check` names all)" if more else ""
        super().__init__(f"{first}{rest}")

    @property
    def sentences(self) -> list[str]:
        """Each mistake with its place, as editors and compilers write it."""
        return [f"{self.path}:{each.line}: {each.words}" for each in self.mistakes]


@cache
def demo() -> Offer:
    """The demonstration, which is sold where no file is named."""
    return read_text(DEMO_FILE.read_text(encoding="utf-8"), DEMO_FILE, None)


def read_offer(path: Path) -> Offer:
    """The offer in a file; raises `OfferError`."""
    return read_text(read_file(path), path, path)


def read_file(path: Path) -> str:
    """The text of an offer's file; raises `OfferError`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OfferError(path, [Mistake(1, f"cannot be read: {error.strerror}.")]) from None
    if len(content) > FILE_BYTES_MAX:
        raise OfferError(path, [Mistake(1, f"is larger than {FILE_BYTES_MAX // 1024} KiB.")])
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise OfferError(path, [Mistake(line, "is not text in UTF-8.")]) from None


def read_text(text: str, path: Path, origin: Path | None, logo: bytes | None = None) -> Offer:
    """The offer in a text of the file at `path`; raises `OfferError`.

    Its logo is the one that is given, or else read beside the file.
    """
    try:
        values = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise OfferError(path, [_no_toml(text, str(error))]) from None
    except InvalidOperation:
        raise OfferError(path, [Mistake(1, "has a number that is too long.")]) from None
    return _Reading(values, Lines(text), path, origin, logo).offer()


def _no_toml(text: str, refusal: str) -> Mistake:
    """What `tomllib` says, which names the line, or the end of the file."""
    lines = text.splitlines()
    found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", refusal)
    words = refusal[: found.start()] if found else refusal
    line = int(found[1]) if found and found[1] else max(1, len(lines))
    hint = ""
    if line <= len(lines) and re.search(
        r"=\s*\d{4}-\d\d-\d\d[T ]\d\d:\d\d\s*(#|$)", lines[line - 1]
    ):
        hint = " A time has seconds as well, such as 10:00:00."
    return Mistake(line, f"this is not TOML: {words}.{hint}")


class _Reading:
    """One file: collects mistakes, and makes the offer where there are none."""

    def __init__(
        self,
        values: Mapping[str, Any],
        lines: Lines,
        path: Path,
        origin: Path | None,
        logo: bytes | None,
    ) -> None:
        self._values = values
        self._lines = lines
        self._path = path
        self._origin = origin
        self._logo_given = logo
        self._mistakes: list[Mistake] = []

    def offer(self) -> Offer:
        self._check_keys((), self._values, ("show", "goodie", "limits", "class"))
        show = self._table(ShowTable, "show", is_needed=True)
        goodie = self._table(GoodieTable, "goodie")
        limits = self._table(LimitsTable, "limits")
        classes = list(self._classes())
        zone = self._zone(show.get("time_zone"))
        currency = self._currency(show.get("currency"))
        hours = self._hours(show, zone)
        listings = [self._listing(at, read, currency, zone, hours) for at, read in classes]
        self._check_limits(limits, classes, listings)
        self._check_twice(classes)
        links = self._links(show)
        logo = self._logo(show.get("logo"))
        self._check_vat(show.get("vat_percent"))
        if self._mistakes or currency is None or hours is None:
            raise OfferError(self._path, self._mistakes)
        accent = show["accent"]
        return Offer(
            show=Show(
                name=show["name"],
                venue=show["venue"],
                starts_at=hours[0],
                ends_at=hours[1],
                time_zone=show["time_zone"],
                organiser=show["organiser"] or show["name"],
                headline=show["headline"],
                description=show["description"].strip(),
            ),
            currency=currency,
            listings=tuple(listing for listing in listings if listing is not None),
            goodie=Goodie(**goodie),
            tickets_per_order=limits.get("tickets_per_order", 1),
            holds_per_email=limits.get("holds_per_email", 0),
            people_inside=limits.get("people_inside", 0),
            links=links,
            accent=accent and accent.lower(),
            logo=logo,
            vat_percent=show["vat_percent"],
            path=self._origin,
        )

    # --- Tables --------------------------------------------------------------------------------

    def _table(self, kind: type[msgspec.Struct], name: str, *, is_needed: bool = False) -> _Read:
        values = self._values.get(name)
        if values is None:
            if is_needed:
                self._mistake((), f"there is no [{name}].")
        elif isinstance(values, dict):
            return self._fields(kind, (name,), values)
        else:
            self._mistake((name,), f"this has to be a part of its own: [{name}].")
        return {}

    def _classes(self) -> Iterator[tuple[Place, _Read]]:
        values = self._values.get("class")
        if values is None:
            self._mistake((), "there is no [[class]]: nothing is for sale.")
        elif not isinstance(values, list) or not all(isinstance(each, dict) for each in values):
            self._mistake(("class",), "each class has to be a part of its own: [[class]].")
        elif not 1 <= len(values) <= CLASSES_MAX:
            self._mistake(("class", CLASSES_MAX), f"there may be 1 to {CLASSES_MAX} classes.")
        else:
            for number, each in enumerate(values):
                at: Place = ("class", number)
                yield at, self._fields(ClassTable, at, each)

    def _fields(self, kind: type[msgspec.Struct], at: Place, values: Mapping[str, Any]) -> _Read:
        """A table, field by field; without those that are missing or wrong."""
        fields = msgspec.structs.fields(kind)
        self._check_keys(at, values, tuple(field.name for field in fields))
        read: _Read = {}
        for field in fields:
            if field.name in values:
                value = values[field.name]
                try:
                    read[field.name] = msgspec.convert(value, field.type)
                except msgspec.ValidationError as refusal:
                    words = _refusal(field.name, str(refusal), value)
                    self._mistake((*at, field.name), f"{field.name} {words}")
            elif field.required:
                self._mistake(at, f"{field.name} is missing.")
            else:
                read[field.name] = field.default
        return read

    def _check_keys(self, at: Place, values: Mapping[str, Any], known: tuple[str, ...]) -> None:
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1, LIKENESS_MIN)
                meant = f" Is {near[0]} meant?" if near else f" There are {', '.join(known)}."
                self._mistake((*at, key), f"{key} is no key here.{meant}")

    def _mistake(self, at: Place, words: str) -> None:
        self._mistakes.append(Mistake(self._lines.of(at), words))

    # --- What the fields mean ------------------------------------------------------------------

    def _zone(self, name: str | None) -> ZoneInfo | None:
        if name is None:
            return None
        try:
            if "/" in name or name == "UTC":
                return ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            pass
        self._mistake(
            ("show", "time_zone"),
            f"time_zone: there is no {name!r}. Zones have names such as Europe/Berlin.",
        )
        return None

    def _currency(self, name: str | None) -> str | None:
        if name is None:
            return None
        if name.upper() in currencies():
            return name.lower()
        self._mistake(
            ("show", "currency"),
            f"currency: nobody pays in {name!r}. It has three letters of ISO 4217, such as EUR.",
        )
        return None

    def _hours(self, show: _Read, zone: ZoneInfo | None) -> _Hours | None:
        starts_at = self._moment(("show", "starts_at"), show.get("starts_at"), zone)
        ends_at = self._moment(("show", "ends_at"), show.get("ends_at"), zone)
        if starts_at is None or ends_at is None:
            return None
        # In the same zone, datetimes compare by their clocks.
        if ends_at.timestamp() <= starts_at.timestamp():
            self._mistake(("show", "ends_at"), "ends_at: the show ends before it begins.")
        return starts_at, ends_at

    def _moment(self, at: Place, value: datetime | None, zone: ZoneInfo | None) -> datetime | None:
        """A moment in the venue's zone; None where there is none, or it has no one meaning."""
        if value is None or zone is None:
            return None
        if not YEAR_MIN <= value.year <= YEAR_MAX:
            self._mistake(at, f"{at[-1]}: the year has to be one from {YEAR_MIN} to {YEAR_MAX}.")
            return None
        if value.tzinfo is not None:
            return value.astimezone(zone)
        moment = value.replace(tzinfo=zone)
        name, words = at[-1], f"{value:%H:%M} on {value:%Y-%m-%d}"
        if moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != value:
            self._mistake(
                at, f"{name}: there is no {words} in {zone.key}, where clocks go forward then."
            )
            return None
        if moment.utcoffset() != moment.replace(fold=1).utcoffset():
            self._mistake(
                at,
                f"{name}: {words} comes twice in {zone.key}, where clocks go back then. Say which"
                f" by its offset: {moment.isoformat()} is the first.",
            )
            return None
        return moment

    def _listing(
        self,
        at: Place,
        read: _Read,
        currency: str | None,
        zone: ZoneInfo | None,
        hours: _Hours | None,
    ) -> Listing | None:
        price = self._price(at, read.get("price"), currency)
        window = self._window(at, read, zone, hours)
        if read.get("number") == GOODIES_LEDGER:
            self._mistake((*at, "number"), f"number: {GOODIES_LEDGER} is the goodies’ own.")
        if self._mistakes or price is None or window is None:
            return None
        return Listing(
            code=read["code"],
            name=read["name"],
            price_cents=price,
            perks=read["perks"],
            ledger=read["number"],
            capacity=read["capacity"],
            window=window,
        )

    def _price(self, at: Place, price: Decimal | None, currency: str | None) -> int | None:
        at = (*at, "price")
        if price is None or currency is None:
            return None
        if not price.is_finite() or price < 0:
            self._mistake(at, "price: it has to be 0 or more.")
            return None
        units = smallest_units(price, currency)
        if units is None:
            digits = digits_of(currency)
            have = "no decimals" if digits == 0 else f"{digits} decimals at most"
            self._mistake(at, f"price: nobody can pay {price}: {currency.upper()} has {have}.")
        elif units > PRICE_UNITS_MAX:
            self._mistake(at, "price: that is more than an order can say.")
        return units

    def _window(
        self, at: Place, read: _Read, zone: ZoneInfo | None, hours: _Hours | None
    ) -> Window | None:
        opens_at = self._moment((*at, "on_sale_from"), read.get("on_sale_from"), zone)
        until = self._moment((*at, "on_sale_until"), read.get("on_sale_until"), zone)
        if hours is None:
            return None
        ends_at = hours[1]
        closes_at = ends_at if until is None else min(until, ends_at, key=datetime.timestamp)
        if opens_at is not None and opens_at.timestamp() >= closes_at.timestamp():
            what = "the sale ends" if until is closes_at else "the show is over"
            self._mistake(
                (*at, "on_sale_from"),
                f"on_sale_from: {what} before it begins, on {moment_words(closes_at)}.",
            )
        return Window(opens_at, closes_at)

    def _check_twice(self, classes: list[tuple[Place, _Read]]) -> None:
        """A code and a number are one class's own."""
        first: dict[tuple[str, Any], Place] = {}
        for at, read in classes:
            for key in ("code", "number"):
                if key not in read:
                    continue
                other = first.setdefault((key, read[key]), at)
                if other is not at:
                    line = self._lines.of((*other, key))
                    self._mistake((*at, key), f"{key}: {read[key]} is taken, in line {line}.")

    def _check_limits(
        self, limits: _Read, classes: list[tuple[Place, _Read]], listings: list[Listing | None]
    ) -> None:
        """An order of the largest number of tickets has to be possible."""
        tickets, holds = limits.get("tickets_per_order", 1), limits.get("holds_per_email", 0)
        if 0 < holds < tickets:
            self._mistake(
                ("limits", "tickets_per_order"),
                f"tickets_per_order: nobody can have {tickets} tickets on hold, where"
                f" holds_per_email is {holds}.",
            )
        for (at, _), listing in zip(classes, listings, strict=True):
            if listing and listing.price_cents * tickets > AMOUNT_UNITS_MAX:
                self._mistake(
                    (*at, "price"),
                    f"price: of {tickets} tickets, that is more than an order can say.",
                )

    def _links(self, show: _Read) -> dict[str, str]:
        contact = show.get("contact")
        if contact is not None:
            if re.fullmatch(r"[^\s@:/<>\"]+@[^\s@:/<>\"]+", contact):
                contact = f"mailto:{contact}"
            elif not re.fullmatch(r"(https?://|mailto:)[^\s<>\"]+", contact):
                self._mistake(
                    ("show", "contact"), "contact has to be an email address, or https://…"
                )
        links = {
            "Imprint": show.get("imprint"),
            "Terms": show.get("terms"),
            "Privacy": show.get("privacy"),
            "Contact": contact,
        }
        return {words: url for words, url in links.items() if url}

    def _check_vat(self, rate: Decimal | None) -> None:
        if rate is not None and not (rate.is_finite() and 0 <= rate < VAT_PERCENT_MAX):
            self._mistake(("show", "vat_percent"), "vat_percent has to be a share, such as 19.")

    def _logo(self, name: str | None) -> Logo | None:
        if name is None:
            return None
        at: Place = ("show", "logo")
        file = self._path.parent / name
        try:
            content = self._logo_given or _first_bytes(file, LOGO_BYTES_MAX + 1)
        except OSError as error:
            self._mistake(at, f"logo: {file} cannot be read: {error.strerror}.")
            return None
        suffix = file.suffix.lower()
        if len(content) > LOGO_BYTES_MAX:
            self._mistake(at, f"logo: {file} is larger than {LOGO_BYTES_MAX // 1024} KiB.")
        elif suffix not in (".png", ".svg") or not _is_picture(suffix, content):
            self._mistake(at, f"logo: {file} is no picture of the kinds .svg and .png.")
        return Logo(suffix, content)


def _first_bytes(file: Path, count: int) -> bytes:
    with file.open("rb") as opened:
        return opened.read(count)


def _is_picture(suffix: str, content: bytes) -> bool:
    if suffix == ".png":
        return content.startswith(_PNG_START)
    # A picture declares nothing that a parser would have to expand.
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        return False
    try:
        return ElementTree.fromstring(content).tag == _SVG  # noqa: S314
    except ElementTree.ParseError:
        return False


# What msgspec refuses, in words for an organiser.
_REFUSALS: Final = (
    (re.compile(r"Expected `str` of length <= (\d+)"), "has to be of {} characters at most."),
    (re.compile(r"Expected `array` of length <= (\d+)"), "may have {} entries at most."),
    (re.compile(r"Expected `int` >= (\d+)"), "has to be at least {}."),
    (re.compile(r"Expected `int` <= (\d+)"), "has to be at most {}."),
    (re.compile(r"Expected `int`.*"), "has to be a whole number."),
    (re.compile(r"Expected `decimal`.*|Invalid decimal.*"), 'has to be a number, such as "65.00".'),
    (re.compile(r"Expected `array`.*"), 'has to be a list of texts: ["…", "…"].'),
    (
        re.compile(r"Expected `datetime.*|Invalid RFC3339.*"),
        "has to be a day and a time, such as 2027-06-18T10:00:00.",
    ),
    (re.compile(r"Expected `str.*got.*"), 'has to be text, in quotes: "…".'),
)
_PATTERNS: Final = {
    "code": "has to be of capital letters, digits and _, a letter first, 16 at most.",
    "accent": 'has to be a colour such as "#ff7a1a".',
    **dict.fromkeys(("terms", "privacy", "imprint"), "has to be an address such as https://…"),
}


def _refusal(name: str, refusal: str, value: Any) -> str:
    """Why a value is refused; the name of its field stands before it."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return "has to have a time as well, such as 2027-06-18T10:00:00."
    refusal = refusal.partition(" - at ")[0]
    if "regex" in refusal:
        words = "has to be one line of text, with no space at its ends."
        return _PATTERNS.get(name, words)
    for pattern, words in _REFUSALS:
        if matched := pattern.fullmatch(refusal):
            return words.format(*matched.groups())
    return f"cannot be read: {refusal}."
