"""A damaged file is unreadable, or is read as far as it goes; nothing else comes out of a parser."""

import random
import zipfile
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from odfdo import Document, Paragraph

from nestling.corpus.content import UnreadableError
from nestling.corpus.formats import FILE_FORMATS, kind_of
from nestling.corpus.sources import read_rows
from nestling.corpus.walk import Found
from tests.nestling.test_mail import MESSAGE
from tests.nestling.test_sources import PAGE, pdf
from tests.office import docx, p, read, xlsx

SEEDS: dict[str, Callable[[Path], object]] = {
    "a.pdf": lambda path: path.write_bytes(pdf("Il mulino apre.")),
    "a.html": lambda path: path.write_text(PAGE),
    "a.eml": lambda path: path.write_text(MESSAGE),
    "a.mbox": lambda path: path.write_text(f"From anna Mon Jan  1\n{MESSAGE}\n" * 2),
    "a.md": lambda path: path.write_text("---\ntitle: Orari\nlang: it\n---\n# Il mulino\nAlle nove."),
    "a.rtf": lambda path: path.write_text(
        r"{\rtf1\ansi{\fonttbl{\f0\fcharset0 T;}}\uc1 Il {\footnote no}\'e8 \u232?}"
    ),
    "a.docx": lambda path: docx(path, p("Orari", "Heading1") + p("Il mulino.")),
    "a.xlsx": lambda path: xlsx(path, ("id", "text"), (1, "Il mulino.")),
    "a.odt": lambda path: odf(path, "text"),
    "a.ods": lambda path: odf(path, "spreadsheet"),
}


def odf(path: Path, kind: str) -> None:
    made = Document(kind)
    made.body.append(Paragraph("Il mulino."))
    made.save(path)


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Cut the content, or change some bytes: of a package also within one of its parts."""
    if content.startswith(b"PK") and draw.random() < 0.6:
        with zipfile.ZipFile(BytesIO(content)) as packed:
            parts = {name: packed.read(name) for name in packed.namelist()}
        hit = draw.choice([name for name, part in parts.items() if part])
        parts[hit] = damaged(parts[hit], draw)
        changed = BytesIO()
        with zipfile.ZipFile(changed, "w") as packed:
            for name, part in parts.items():
                packed.writestr(name, part)
        return changed.getvalue()
    if draw.random() < 0.3:
        return content[: draw.randrange(len(content))]
    odd = [b"", b"\\", b"{", b"[", b"<", b"\x00", b"9999999999", b"-1", b"\xff", b"\n"]
    for _ in range(draw.randrange(1, 10)):
        place = draw.randrange(len(content))
        content = content[:place] + draw.choice(odd) + content[place + draw.randrange(4) :] or b" "
    return content


def take(path: Path) -> None:
    if kind_of(path.name) not in FILE_FORMATS:
        list(read_rows(Found(path, path.name), kind_of(path.name), 100_000))
        return
    with suppress(UnreadableError, UnicodeDecodeError):
        read(path)


@pytest.mark.parametrize("name", SEEDS)
def test_nothing_but_unreadable_comes_out_of_a_damaged_file(tmp_path, name):
    path, draw = tmp_path / name, random.Random(name)
    SEEDS[name](path)
    whole = path.read_bytes()
    for _ in range(20):
        path.write_bytes(damaged(whole, draw))
        take(path)


@pytest.mark.parametrize("other", SEEDS)
def test_a_file_under_the_ending_of_another_format_ends_no_reading(tmp_path, other):
    path = tmp_path / other
    SEEDS[other](path)
    content = path.read_bytes()
    for name in SEEDS:
        path = tmp_path / name
        path.write_bytes(content)
        take(path)
