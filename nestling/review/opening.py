"""Which desk params.yaml names: an entry a kind."""

from collections.abc import Iterator
from contextlib import contextmanager

from nestling.review.argilla import ArgillaDesk
from nestling.review.desk import Desk
from nestling.review.settings import ArgillaParams, ReviewParams
from nestling.review.sheets import SheetDesk
from nestling.review.wording import Wording


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
