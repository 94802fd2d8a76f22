"""The main text of a web page (trafilatura)."""

from pathlib import Path

from nestling.corpus.content import Content, UnreadableError


def read_html(path: Path) -> Content:
    """Read the main text of a page, without menus and footers, in the encoding that the page declares or shows.

    Raises:
        UnreadableError: it is no HTML.
    """
    return html_content(path.read_bytes())


def html_content(page: bytes | str) -> Content:
    """Return the main text of a page.

    Raises:
        UnreadableError: it is no HTML.
    """
    import trafilatura  # here, for it is slow to import and only sets with web pages need it

    tree = trafilatura.load_html(page)
    if tree is None:
        raise UnreadableError("no HTML")
    found = trafilatura.bare_extraction(tree, with_metadata=True)
    if found is None:
        return Content("", "")
    title, text = (getattr(found, "title", None) or "").strip(), getattr(found, "text", None) or ""
    first, _, rest = text.partition("\n")
    return Content(title, rest if title and first.strip() == title else text)
