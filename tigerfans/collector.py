"""The garbage collector, set for a process that has started and serves from now on."""

import gc
from typing import Final

# Python's own is 700: a rush makes so many objects within some requests, nearly all of them gone
# by the next tick.
YOUNG_OBJECTS_MAX: Final = 50_000


def settle_down() -> None:
    """Leaves what was made so far out of every collection, and collects less often.

    Walking over the framework's objects, which live as long as the process, again and again was
    5 % of a worker's CPU in a rush.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS_MAX)
