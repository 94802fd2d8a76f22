"""Which desk params.yaml names: an entry a kind."""

from collections.abc import Iterator
from contextlib import contextmanager

from nestling.desk.argilla import ArgillaDesk
from nestling.desk.interface import Desk
from nestling.desk.settings import ArgillaParams, ReviewParams
from nestling.desk.sheets import SheetDesk
from nestling.desk.wording import Wording


@contextmanager
def opened(params: ReviewParams, cut_out: bool = False) -> Iterator[Desk]:
    """Yield the desk, and let go of it afterwards.

    Args:
        params: which desk, and in which language it speaks.
        cut_out: whether queries go to it that nobody asked, of which its guidelines then tell.

    Raises:
        UserError: it cannot be reached, or there is no wording in the language.
    """
    wording = Wording.load(params.language)
    wording = wording.for_cut_out() if cut_out else wording
    desk: Desk
    if isinstance(params.desk, ArgillaParams):
        desk = ArgillaDesk(params.desk, wording)
    else:
        desk = SheetDesk(params.desk, wording)
    try:
        yield desk
    finally:
        desk.close()
