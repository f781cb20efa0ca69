"""What a shop sells: the copy of its event's file that was taken over, which its processes read.

An organiser changes the file while the shop sells, and a process that starts again meanwhile must
not sell half of a change. So the file is read where it is taken over, by `tigerfans up`, `reload`
and `offer take`; everybody else reads the copy in the data folder. That is one file, the logo
included, so it is there as a whole or not at all.
"""

from pathlib import Path
from typing import Final

import msgspec

from tigerfans.offer.file import demo, read_file, read_offer, read_text
from tigerfans.offer.offer import Offer

TAKEN_NAME: Final = "offer.json"


class TakenOffer(msgspec.Struct, frozen=True):
    """The text of the file at `path`, which is absolute, and its logo.

    The text, for every release can read that, and so a mistake has its line in the file.
    """

    path: str
    text: str
    logo: bytes | None = None

    @classmethod
    def of(cls, path: Path) -> "TakenOffer":
        """What is in the file now; raises `OfferError`."""
        text = read_file(path)
        logo = read_text(text, path, path).logo
        return cls(str(path), text, logo.content if logo else None)

    def offer(self) -> Offer:
        """Raises `OfferError` where this release takes for a mistake what another one took."""
        path = Path(self.path)
        return read_text(self.text, path, path, self.logo)

    def pack(self) -> bytes:
        return msgspec.json.encode(self)


def taken_file(data: Path) -> Path:
    """Where the copy is, in a data folder that may not be there."""
    return data / TAKEN_NAME


def find_taken(data: Path) -> TakenOffer | None:
    """The copy in a data folder; None where there is none that can be read."""
    try:
        return msgspec.json.decode(taken_file(data).read_bytes(), type=TakenOffer)
    except (OSError, msgspec.MsgspecError):
        return None


def named_offer(name: str, data: Path) -> Offer:
    """The offer as its file has it now, the demonstration where none is named; raises `OfferError`.

    `data` is no matter here.
    """
    # Absolute, for processes that may be started in another folder.
    return read_offer(Path(name).absolute()) if name else demo()


def sold_offer(name: str, data: Path) -> Offer:
    """What the shop of a data folder sells: the copy there, unless another file is named.

    Raises `OfferError`.
    """
    taken = find_taken(data)
    if taken is not None and (not name or taken.path == str(Path(name).absolute())):
        return taken.offer()
    return named_offer(name, data)
