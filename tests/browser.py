"""Argilla's pages, used as people use them: a password, clicks and keys in the system's Chromium.

    python -m tests.browser docs/images/argilla-record.png    # the queue as it stands, in an Argilla of the command's own

What must not happen on a page (errors of its scripts, dialogs, answers of HTTP 400 and above) is collected, not raised.
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
from tests.argilla import REPOSITORY, settings_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SIZE = {"width": 1500, "height": 950}
_FIELDS = """() => Array.from(document.querySelectorAll(".text_field_component"), field => [
    field.querySelector(".text_field_component__title-content").innerText,
    field.querySelector(".content-area > div").innerText])"""
_ANOTHER = "before => document.querySelector('[id^=fields-content-]')?.id.slice(-36) !== before"
_FOCUS = "name => document.activeElement.closest(`[aria-label='Question: ${name}']`) !== null"


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
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
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
        self.datasets()

    def datasets(self) -> list[str]:
        """Go home and return the names of the datasets there."""
        self.page.goto(self._url)
        self.page.locator(".dataset-card__title").first.wait_for()
        return self.page.locator(".dataset-card__title").all_inner_texts()

    def open(self, dataset: str) -> None:
        """Open a dataset by its card."""
        self.page.goto(self._url)
        self.page.get_by_text(dataset, exact=True).click()
        self.page.wait_for_url("**/annotation-mode**")
        self._settle("")

    def open_in_order(self, dataset: str) -> None:
        """Open a dataset by the address that has it sorted by position."""
        self.open(dataset)
        address = self.page.url.split("?")[0]
        self.page.goto(f"{address}?page=1&status=pending&sort=metadata.position.asc")
        self._settle("")

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

    def skip(self) -> None:
        """Turn to the next record."""
        before = self._record()
        self.page.get_by_label("Next (→)").click()
        self._settle(before)

    # --- arranging

    def sort(self, name: str) -> None:
        """Sort by a metadatum, upwards."""
        before = self._record()
        self._button("Sort").click()
        self._button(name).click()
        with self.page.expect_response(re.compile("/search")):
            self.page.keyboard.press("Escape")
            self._away()
        self.page.wait_for_url(f"**sort=metadata.{name}.asc**")
        self._settle(before, changed=False)

    def filter(self, name: str, value: str) -> None:
        """Show only the records that have a value of a metadatum."""
        before = self._record()
        self._button("Filters").click()
        self._button("Metadata").click()
        self._button(name).click()
        self.page.locator(".labels-selector__item", has_text=_whole(value)).locator("svg").click()
        with self.page.expect_response(re.compile("/search")):
            self._away()
        self._settle(before, changed=False)

    def find_similar(self) -> float:
        """Look for the records most like this one and return how like the first of them is, from 0 to 100."""
        before = self._record()
        self._button("Find similar").click()
        self._settle(before)
        return float(self.page.locator(".similarity-score, [class*=similarity] span").first.inner_text().strip(" %"))

    # --- answering

    def click(self, verdict: Verdict) -> None:
        """Fill in the form with the mouse; text comes from the clipboard."""
        for question, values in verdict.marks.items():
            for value in values:
                if not self._mark(question, value).is_checked():
                    self.page.click(f"label[for={question}_{value}]")
            for mark in self._marked(question) - {f"{question}_{value}" for value in values}:
                self.page.click(f"label[for={mark}]")
        for question, text in verdict.texts.items():
            self.paste(question, text)

    def type(self, verdict: Verdict) -> None:
        """Fill in the form with the keyboard; the first question has the focus."""
        for question, values in verdict.marks.items():
            self._reach(question)
            wanted = {f"{question}_{value}" for value in values}
            single = self.page.locator(f"[aria-label='Question: {question}'] .round").count()
            for mark in sorted((wanted - self._marked(question)) if single else (wanted ^ self._marked(question))):
                self.page.keyboard.press(self.page.locator(f"#{mark}").get_attribute("data-keyboard"))
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
        """Hand in the form and wait for the next record, or for the end."""
        self._send("Enter" if key else "button.button--submit")

    def discard(self, key: bool = False) -> None:
        """Put the record aside and wait for the next."""
        self._send("Backspace" if key else "button.button--discard")
