"""Argilla's pages, used as people use them: a password, clicks and keys in the system's Chromium.

    python -m tests.browser docs/images/argilla-record.png    # the picture in the README, of the queue as it stands

What must not happen on a page (errors of scripts, dialogs, answers of HTTP 400 and above) is collected, not raised.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from services.argilla.running import running
from services.argilla.settings import OWNER
from tests.argilla import REPOSITORY, settings_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Response

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SIZE = {"width": 1500, "height": 950}
LAPTOP, PHONE = {"width": 1280, "height": 800}, {"width": 420, "height": 860}
_FIELDS = """() => Array.from(document.querySelectorAll(".text_field_component")).flatMap(field => {
    const title = field.querySelector(".text_field_component__title-content").innerText;
    const view = field.querySelector(".nest");
    if (!view) return [[title, field.querySelector(".content-area > div").innerText]];
    return [[title, field.querySelector("h2").innerText],
            ...Array.from(view.querySelectorAll(".nest-passage"), passage => [
                passage.querySelector(".nest-letter").title, passage.querySelector(".nest-text").innerText])];
})"""
_SIGHT = """() => {
    const fields = Array.from(document.querySelectorAll("h2:has(+ .nest), .nest-passage"));
    const [query, ...passages] = fields.length ? fields : document.querySelectorAll(".text_field_component");
    let pane = query.parentElement;
    while (pane.parentElement && (pane.scrollHeight <= pane.clientHeight
           || !/auto|scroll/.test(getComputedStyle(pane).overflowY))) pane = pane.parentElement;
    const [seen, there] = [pane.getBoundingClientRect(), query.getBoundingClientRect()];
    const onTop = document.elementFromPoint(there.x + 20, there.y + there.height / 2);
    return {pixels: pane.scrollTop, query: there.top >= seen.top - 1 && query.contains(onTop),
            ended: passages.map(passage => passage.getBoundingClientRect().bottom <= seen.bottom + 1)};
}"""
_RECORD = "() => document.querySelector('[id^=fields-content-]')?.id.slice(-36) ?? ''"  # the server's id
_TURNED = """before => {
    const now = document.querySelector('[id^=fields-content-]')?.id.slice(-36) ?? '';
    const told = document.querySelector('[role=main]')?.innerText ?? '';
    return now ? now !== before : /no pending records|task is completed/.test(told);
}"""
_FOCUS = "name => document.activeElement.closest(`[aria-label^='Question: ${name}']`) !== null"
_FOCUSED = "() => document.activeElement.closest(`[aria-label^='Question: ']`)?.ariaLabel"
_NOTCH = 100  # pixels that a wheel turns at once
_BESIDE = (700, 75)  # the empty strip beside the menus
_BAD = 400  # from here on HTTP says that something went wrong


@dataclass(frozen=True)
class Seen:
    """A record as the page shows it.

    Attributes:
        texts: by title, from top to bottom.
        marked: what is selected, as QUESTION_VALUE.
    """

    texts: dict[str, str]
    marked: set[str]

    @property
    def first(self) -> str:
        """The text on top: a query, or a referee's notes."""
        return next(iter(self.texts.values()))


@dataclass(frozen=True)
class Reading:
    """What it takes to read a record from top to bottom.

    Attributes:
        pixels: scrolled until the last passage's end was in sight.
        with_query: by passage, whether the query was in sight when the passage's end came up.
    """

    pixels: int
    with_query: list[bool]


@dataclass(frozen=True)
class Verdict:
    """What is to stand in the form: selected values and texts, by question; order as in the form."""

    marks: Mapping[str, Collection[str]]
    texts: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Yield the system's Chromium without a window; skip where it or Playwright is missing."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.skip("the Debian package chromium is missing")
    api = pytest.importorskip("playwright.sync_api", reason="the Python package playwright is missing")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]  # root may not have the sandbox
    with api.sync_playwright() as playwright, playwright.chromium.launch(executable_path=found, args=quiet) as browser:
        yield browser


class Annotator:
    """Somebody who has signed in.

    Attributes:
        page: Playwright's.
        complaints: what happened that must not.
    """

    def __init__(self, context: "BrowserContext", url: str, name: str, password: str) -> None:
        context.set_default_timeout(20_000)
        context.route(lambda address: not address.startswith(f"{url}/"), lambda route: route.abort())  # web fonts
        self.page, self.complaints, self._url = context.new_page(), list[str](), url
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("response", self._answered)
        self.page.goto(f"{url}/sign-in")
        self.page.fill("input[name=Username]", name)
        self.page.fill("input[name=Password]", password)
        self.page.click("button[type=submit]")
        self.page.wait_for_url(f"{url}/")

    def datasets(self) -> list[str]:
        """Go home and return the names of the datasets there."""
        if self.page.url != f"{self._url}/":
            self.page.get_by_role("link", name="Home").click()
        titles = self.page.locator(".dataset-card__title")
        titles.first.wait_for()
        return titles.all_inner_texts()

    def open(self, dataset: str) -> None:
        """Open a dataset by its card."""
        self.datasets()
        self.page.get_by_text(dataset, exact=True).click()
        self.page.wait_for_url("**/annotation-mode**")
        self._wait("")

    def open_in_order(self, dataset: str) -> None:
        """Open a dataset by the address that has it sorted by position."""
        self.datasets()
        card = self.page.locator("a.dataset-card", has=self.page.get_by_text(dataset, exact=True))
        self.page.goto(f"{self._url}{card.get_attribute('href')}?page=1&status=pending&sort=metadata.position.asc")
        self._wait("")

    def left(self) -> int:
        """Return how many records there are, those included that were answered since they were listed."""
        return int(self.page.locator("[aria-label='Total Records']").inner_text().removeprefix("of "))

    def at_end(self) -> bool:
        """Return whether no record is shown."""
        return self.page.locator(".text_field_component").count() == 0

    def seen(self) -> Seen:
        """Return what is shown."""
        marked = self.page.locator("form input:checked").evaluate_all("marks => marks.map(mark => mark.id)")
        return Seen(dict(self.page.evaluate(_FIELDS)), set(marked))

    def read(self) -> Reading:
        """Turn the wheel over the texts until the last passage has been seen."""
        self.page.locator(".fields").hover(position={"x": 5, "y": 30})
        with_query: list[bool] = []
        while True:
            sight = self.page.evaluate(_SIGHT)
            with_query += [sight["query"]] * (sum(sight["ended"]) - len(with_query))
            if all(sight["ended"]):
                return Reading(round(sight["pixels"]), with_query)
            self.page.mouse.wheel(0, _NOTCH)
            self.page.wait_for_timeout(50)

    def skip(self) -> None:
        """Turn to the next record."""
        before = self._record()
        self.page.get_by_label("Next (→)").click()
        self._wait(before)

    # --- arranging

    def sort(self, name: str) -> None:
        """Sort by a metadatum, upwards."""
        self._button("Sort").click()
        self._button(name).click()
        self._apply(f"**sort=metadata.{name}.asc**")

    def filter(self, name: str, value: str) -> None:
        """Show only the records that have a value of a metadatum."""
        self._button("Filters").click()
        self._button("Metadata").click()
        self._button(name).click()
        self.page.locator(".labels-selector__item", has_text=_whole(value)).locator(".checkbox__container").click()
        self._apply(f"**metadata={name}.{value}**")

    def find_similar(self) -> None:
        """Look for the records most like this one, which are shown from the nearest on."""
        before = self._record()
        self._button("Find similar").click()
        self._wait(before)

    # --- answering

    def click(self, verdict: Verdict) -> None:
        """Fill in the form with the mouse; texts come from the clipboard."""
        for question, values in verdict.marks.items():
            wanted = {f"{question}_{value}" for value in values}
            for mark in sorted(wanted - self._marked(question)):
                self.page.click(f"label[for={mark}]")  # of a passage, its letter beside the text
            for mark in sorted(self._marked(question) - wanted):
                self.page.click(f"label[for={mark}]")
        for question, text in verdict.texts.items():
            self.paste(question, text)

    def type(self, verdict: Verdict) -> None:
        """Fill in the form with the keyboard; a new record's first question has the focus."""
        for question, values in verdict.marks.items():
            self._reach(question)
            marked, wanted = self._marked(question), {f"{question}_{value}" for value in values}
            one_alone = question != "relevant"  # a new mark takes the old one's place
            for mark in sorted(wanted - marked if one_alone else wanted ^ marked):
                self.page.keyboard.press(self._key(mark))
        for question, text in verdict.texts.items():
            self._reach(question)
            self.page.keyboard.press("Shift+Enter")
            self.page.wait_for_function("() => document.activeElement.isContentEditable")
            self.page.keyboard.type(text)
            self.page.keyboard.press("Escape")

    def paste(self, question: str, text: str) -> None:
        """Put a text into a question's box from the clipboard."""
        self.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.page.evaluate("text => navigator.clipboard.writeText(text)", text)
        self.page.locator(f"[aria-label='Question: {question}'] [contenteditable=true]").click()
        self.page.keyboard.press("Control+V")

    def submit(self, key: bool = False) -> None:
        """Hand in the form, by Enter or by its button, and wait for the next record or the end."""
        self._send("Enter" if key else "", "submit")

    def discard(self, key: bool = False) -> None:
        """Put the record aside, by Backspace or by the button, and wait for the next."""
        self._send("Backspace" if key else "", "discard")

    def _send(self, key: str, button: str) -> None:
        before = self._record()
        with self.page.expect_response(lambda reply: "/responses" in reply.url and reply.request.method != "GET"):
            self.page.keyboard.press(key) if key else self.page.click(f"button.button--{button}")
        self._wait(before)

    def _reach(self, question: str) -> None:
        """Bring the focus to a question; an answer of one mark has moved it on already."""
        self.page.wait_for_function(_FOCUS, arg="")
        while not self.page.evaluate(_FOCUS, question):
            before = self.page.evaluate(_FOCUSED)
            self.page.keyboard.press("ArrowDown")
            self.page.wait_for_function(f"before => ({_FOCUSED})() !== before", arg=before)

    def _key(self, mark: str) -> str:
        """Return the key of a mark: the number beside a label, or the grade itself."""
        return self.page.locator(f"#{mark}").get_attribute("data-keyboard") or mark[-1]

    def _marked(self, question: str) -> set[str]:
        return {mark for mark in self.seen().marked if mark.startswith(f"{question}_")}

    def _button(self, text: str) -> "Locator":
        return self.page.locator("button", has_text=_whole(text)).first

    def _apply(self, address: str) -> None:
        """Leave an open menu, which applies it, and come to the page again by its new address."""
        self.page.mouse.click(*_BESIDE)
        self.page.wait_for_url(address)
        self.page.reload()
        self._wait("")

    def _record(self) -> str:
        return str(self.page.evaluate(_RECORD))

    def _wait(self, before: str) -> None:
        self.page.wait_for_function(_TURNED, arg=before)

    def _answered(self, reply: "Response") -> None:
        if reply.status >= _BAD:
            self.complaints.append(f"{reply.request.method} {reply.url}: HTTP {reply.status}")


def _whole(text: str) -> re.Pattern[str]:
    return re.compile(rf"^\s*{re.escape(text)}\s*$")


def picture(path: Path) -> None:
    """Push the repository's queue to an Argilla of this command's own and save what an annotator sees of it."""
    with tempfile.TemporaryDirectory() as home, running(settings_for(Path(home))) as argilla, chromium() as browser:
        own = {"ARGILLA_API_URL": argilla.url, "ARGILLA_API_KEY": argilla.api_key}
        subprocess.run(["nestling", "review", "push"], cwd=REPOSITORY, env=os.environ | own, check=True)
        name, password = next(one for one in argilla.passwords.items() if one[0] != OWNER)
        anna = Annotator(browser.new_context(viewport=LAPTOP), argilla.url, name, password)
        anna.open_in_order("round-01-active")
        anna.page.locator(".sort-filter").wait_for()
        anna.read()
        anna.page.wait_for_timeout(1000)  # until bars have stopped to grow
        anna.page.screenshot(path=path)


if __name__ == "__main__":
    picture(Path(sys.argv[1]))
