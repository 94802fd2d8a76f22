"""Which desk params.yaml names: an entry a kind."""

from collections.abc import Iterator
from contextlib import contextmanager

from nestling.desk.argilla import ArgillaDesk
from nestling.desk.interface import Desk
from nestling.desk.settings import ArgillaParams, ReviewParams
from nestling.desk.sheets import SheetDesk
from nestling.desk.wording import Wording


@contextmanager
def opened(params: ReviewParams) -> Iterator[Desk]:
    """Yield the desk, and let go of it afterwards.

    Raises:
        UserError: it cannot be reached, or there is no wording in the language.
    """
    wording = Wording.load(params.language)
    desk: Desk
    if isinstance(params.desk, ArgillaParams):
        desk = ArgillaDesk(params.desk, wording)
    else:
        desk = SheetDesk(params.desk, wording)
    try:
        yield desk
    finally:
        desk.close()
