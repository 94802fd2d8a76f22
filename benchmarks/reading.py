"""Print what judging a record takes in Argilla's page: pixels scrolled, the query in sight, clicks and keys.

    python -m benchmarks.reading

An Argilla of its own, and one record of seven passages of 120 words, as the sample's queue has them, in both forms: a
field a text (as before 28 November 2026) and the record's view. Read to the end with a wheel at two sizes of window;
then answered (good, two passages; not yet submitted) with the mouse, and with keys alone.
"""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.review import PASSAGES, desk, task
from nestling.desk.interface import LETTERS, Pile
from services.argilla.running import running
from tests.annotating import Annotating
from tests.argilla import settings_for
from tests.browser import Annotator, Verdict, chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SIZES = ((1280, 800), (1920, 1080))
ANSWER = Verdict({"query_quality": ["good"], "relevant": ["B", "F"]})
_COUNTING = """() => { window.made = {pointerdown: 0, keydown: 0};
    for (const kind in window.made) document.addEventListener(kind, () => { window.made[kind] += 1; }, true); }"""
_IN_SIGHT = """letter => {
    const view = document.querySelector(`.nest-${letter}`)
        ?? document.querySelectorAll('.text_field_component')[1 + letter.charCodeAt(0) - 65];
    const [pane, here] = [document.querySelector('.record__content'), view].map(one => one.getBoundingClientRect());
    return here.top >= pane.top && here.bottom <= pane.bottom + 1; }"""


def measure(person: Annotator, form: str) -> None:
    """Print a line a size, and one of what answering takes."""
    for width, height in SIZES:
        afresh(person, width, height)
        reading = person.read()
        seen = f"query in sight at {sum(reading.with_query)} of {len(reading.with_query)} passages"
        print(
            f"{form:5} {width}x{height}: {reading.pixels} pixels, {seen}; {by_tab(person)} passages by Tab", flush=True
        )
    afresh(person, *SIZES[0])
    person.click(ANSWER)
    mouse = person.page.evaluate("window.made")
    afresh(person, *SIZES[0])
    person.type(ANSWER)
    keys = person.page.evaluate("window.made")
    print(f"{form:5} answering: {mouse['pointerdown']} clicks, or {keys['keydown']} keys")


def afresh(person: Annotator, width: int, height: int) -> None:
    """Show the record as it comes, and begin to count."""
    person.page.set_viewport_size({"width": width, "height": height})
    person.page.reload()
    person.page.locator("form input").first.wait_for(state="attached")
    person.page.wait_for_timeout(500)
    person.page.evaluate(_COUNTING)


def by_tab(person: Annotator) -> int:
    """Return how many passages come into sight for somebody who never touches the mouse."""
    afresh(person, *person.page.viewport_size.values())
    person.type(Verdict({"query_quality": ["good"], "relevant": []}))  # and there the focus stays
    sight = 0
    for letter in LETTERS[:PASSAGES]:
        sight += person.page.evaluate(_IN_SIGHT, letter)
        person.page.keyboard.press("Tab")
    return sight


def compare(seat: Annotating, browser: "Browser") -> None:
    """Push a record in both forms, and measure each."""
    for form in ("plain", "view"):
        place = seat.workspace()
        if form == "plain":  # a dataset that was begun with the field of old goes on so
            seat.begin(place, "bench-audit", "query")
        with desk(place) as ours:
            ours.push("bench", [Pile("audit", 2, [task(1)])])
        made = seat.person(place)
        with browser.new_context() as context:
            person = Annotator(context, seat.url, made["username"], made["password"])
            person.open("bench-audit")
            measure(person, form)


def main() -> None:
    with tempfile.TemporaryDirectory() as home, running(settings_for(Path(home))) as argilla, chromium() as browser:
        os.environ |= {"ARGILLA_API_URL": argilla.url, "ARGILLA_API_KEY": argilla.api_key}
        compare(Annotating(argilla.url, argilla.api_key), browser)


if __name__ == "__main__":
    main()
