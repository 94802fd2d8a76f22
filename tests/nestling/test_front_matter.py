"""What stands at the head of a Markdown file is metadata where it holds a field of front matter, else text."""

import pytest

from nestling.corpus.content import Content
from tests.office import read


@pytest.mark.parametrize(
    ("matter", "expected"),
    [
        (
            "---\ntitle: Orari\nlang: it\nlicense: CC0-1.0\n---\nAlle nove.",
            Content("Orari", "Alle nove.", "it", "CC0-1.0"),
        ),
        ('+++\ntitle = "Orari"\n+++\n# Orari\nAlle nove.', Content("Orari", "Alle nove.")),
        ("---\nTitle: Orari\nLANGUAGE: it\n---\nAlle nove.", Content("Orari", "Alle nove.", "it")),
        ("---\ntitle: Yes\nlang: no\n---\nAlle nove.", Content("Yes", "Alle nove.", "no")),
        ("---\ntitle: 12:30\n---\nAlle nove.", Content("12:30", "Alle nove.")),
        ("---\ntitle: 2024-01-01\n---\nAlle nove.", Content("2024-01-01", "Alle nove.")),
        ("+++\ntitle = 2024-01-01\n+++\nAlle nove.", Content("2024-01-01", "Alle nove.")),
        ("---\ntitle: Orari\ndate: 2024-02-30\n---\nAlle nove.", Content("Orari", "Alle nove.")),
        ("---\ntitle: null\n---\nAlle nove.", Content("", "Alle nove.")),
        ("---\rtitle: Orari\r---\rAlle nove.", Content("Orari", "Alle nove.")),
        ("---\r\ntitle: Orari\r\n---\r\nAlle nove.", Content("Orari", "Alle nove.")),
        ("---\ntitle: Orari\n...\nAlle nove.", Content("Orari", "Alle nove.")),
        ("---\n---\nAlle nove.", Content("", "Alle nove.")),
        ("---\n# layout: post\n---\nAlle nove.", Content("", "Alle nove.")),
        ("---\nNota: apre alle nove\n---\nE poi.", Content("", "---\nNota: apre alle nove\n---\nE poi.")),
        ("---\ntags: [a]\n---\n# Il mulino\nAlle nove.", Content("Il mulino", "Alle nove.")),
        (
            "---\nUna riga, e una linea sotto.\n---\nE poi.",
            Content("", "---\nUna riga, e una linea sotto.\n---\nE poi."),
        ),
        ("---\ntitle: [broken\n---\nE poi.", Content("", "---\ntitle: [broken\n---\nE poi.")),
    ],
    ids=[
        "YAML",
        "TOML",
        "capitals",
        "words that YAML takes for truth",
        "a time",
        "a date",
        "a date in TOML",
        "an impossible date",
        "null",
        "old line ends",
        "line ends of Windows",
        "closed by points",
        "empty",
        "a comment",
        "a text that looks like a field",
        "no title",
        "a rule",
        "broken",
    ],
)
def test_front_matter_of_markdown_is_title_and_metadata(tmp_path, matter, expected):
    (tmp_path / "a.md").write_text(matter)
    assert read(tmp_path / "a.md") == expected


@pytest.mark.parametrize(
    ("matter", "expected"),
    [
        ("title: Orari: il mulino\nlang: it", ("Orari: il mulino", "it")),
        ("title: 'Orari'\n\tdate: oggi", ("Orari", "")),
        ("lang: it\nx: " + "[" * 3000, ("", "it")),
    ],
    ids=["a second colon", "a tab", "too deep"],
)
def test_lines_of_front_matter_with_broken_syntax_count_and_a_note_says_so(tmp_path, capsys, matter, expected):
    (tmp_path / "a.md").write_text(f"---\n{matter}\n---\nAlle nove.")
    found = read(tmp_path / "a.md")
    assert (found.title, found.language) == expected
    assert found.text == "Alle nove."
    assert "a.md: the front matter is broken" in capsys.readouterr().err
