import gzip
import json
from collections import Counter
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nestling.corpus.ids import content_id
from nestling.corpus.sources import read_documents
from nestling.errors import UserError
from nestling.tables.corpus import Document, Rejected
from nestling.tables.io import check
from tests.office import docx, p

MAX = 10_000
_NOTHING = (b" \\u200b", b"&nbsp;", b"&shy; ", b"\\u00ad")  # texts of which cleaning leaves nothing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "raw" / "mine"
    (made / "documents").mkdir(parents=True)
    (made / "documents" / "good.txt").write_text("Un testo buono.")
    return made


def put(folder: Path, name: str, content: str | bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def read(folder: Path, max_bytes: int = MAX) -> tuple[dict[str, dict], list[tuple[str, str, str]]]:
    documents, rejected = read_documents(folder, max_bytes)
    check(documents, Document, "test")
    check(rejected, Rejected, "test")
    kept = {row["document_id"]: row for row in documents.iter_rows(named=True)}
    return kept, rejected.select("item", "item_id", "reason").rows()


def pdf(text: str) -> bytes:
    """The smallest PDF with one line of text, its cross-reference table exact."""
    stream = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode()
    bodies = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        b"<</Title(Il manuale)>>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(bodies) + 1
    return (
        out
        + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R/Info 6 0 R>>\nstartxref\n%d\n%%%%EOF"
        % (
            size,
            table,
            size,
            len(out),
        )
    )


PAGE = """<html><head><title>La pagina</title></head><body><nav><a href="/">menu</a></nav><article>
<h1>La pagina</h1><p>Il testo principale della pagina racconta di una volpe che dorme nel bosco, senza menu.</p>
<p>Un secondo paragrafo continua il racconto della volpe fino al mattino, quando si sveglia.</p>
</article></body></html>"""


def test_files_of_every_format_become_documents(folder):
    put(folder, "documents/a/nota.md", "# Il titolo\n\nIl *corpo* resta com'è.\n# Altro")
    put(folder, "documents/manuale.PDF", pdf("La caldaia si spegne."))
    put(folder, "documents/pagina.htm", PAGE)
    kept, rejected = read(folder)
    assert list(kept) == ["a/nota.md", "good.txt", "manuale.PDF", "pagina.htm"]
    assert (kept["a/nota.md"]["title"], kept["a/nota.md"]["text"]) == (
        "Il titolo",
        "\nIl *corpo* resta com'è.\n# Altro",
    )
    assert (kept["good.txt"]["title"], kept["good.txt"]["source"]) == ("good", "documents/good.txt")
    assert (kept["manuale.PDF"]["title"], kept["manuale.PDF"]["text"].strip()) == (
        "Il manuale",
        "La caldaia si spegne.",
    )
    assert kept["pagina.htm"]["title"] == "La pagina"
    assert kept["pagina.htm"]["text"].startswith("Il testo principale")
    assert "menu</a>" not in kept["pagina.htm"]["text"]
    assert rejected == []


def test_rows_of_every_format_become_documents(folder):
    put(folder, "corpus.jsonl", json.dumps({"_id": "b1", "title": "T", "text": "uno", "metadata": {}}) + "\n\n")
    put(folder, "documents/a.jsonl.gz", gzip.compress(b'{"id": 7, "text": "due", "language": "it", "license": "MIT"}'))
    put(folder, "documents/b.csv", 'document_id,text\nc1,"tre, e\nancora tre"\nc2,quattro\n')
    pl.DataFrame({"_id": [1], "text": ["cinque"], "n": [0.5]}).write_parquet(folder / "documents" / "c.parquet")
    kept, rejected = read(folder)
    assert [(key, row["text"]) for key, row in kept.items()] == [
        ("b1", "uno"),
        ("7", "due"),
        ("c1", "tre, e\nancora tre"),
        ("c2", "quattro"),
        ("1", "cinque"),
        ("good.txt", "Un testo buono."),
    ]
    assert (kept["7"]["language"], kept["7"]["licence"], kept["b1"]["licence"]) == ("it", "MIT", None)
    assert rejected == []


@pytest.mark.parametrize(
    ("meta", "encoding"),
    [
        ("", "cp1252"),
        ("", "utf-8"),
        ('<meta charset="utf-8">', "cp1252"),
        ('<meta charset="windows-1251">', "cp1251"),
        ("<meta http-equiv=Content-Type content='text/html; charset=iso-8859-15'>", "iso-8859-15"),
        ("", "utf-16"),
    ],
)
def test_a_page_is_read_in_the_encoding_that_it_declares_or_shows(folder, meta, encoding):
    words = "Мельница открывается в девять утра." if encoding == "cp1251" else "Il caffè è già caldo: perché no?"
    page = f"<html><head>{meta}</head><body><article><p>{words}</p></article></body></html>"
    put(folder, "documents/a.html", page.encode(encoding))
    kept, _ = read(folder)
    assert kept["a.html"]["text"] == words


def test_a_byte_order_mark_is_no_text(folder):
    put(folder, "documents/a.jsonl", '\ufeff{"_id": "a", "text": "uno"}')
    put(folder, "documents/b.csv", "\ufeff_id;text\nb;due\n")
    put(folder, "documents/good.txt", "\ufeffciao")
    assert {key: row["text"] for key, row in read(folder)[0].items()} == {"a": "uno", "b": "due", "good.txt": "ciao"}


def test_an_absent_id_is_the_hash_of_the_content(folder):
    put(folder, "corpus.jsonl", '{"title": "T", "text": "uno"}')
    assert content_id("T", "uno") in read(folder)[0]


def test_set_yaml_speaks_for_documents_that_say_nothing(folder):
    put(folder, "set.yaml", "licence: CC0-1.0\nlanguage: it\n")
    put(folder, "corpus.jsonl", '{"_id": "a", "text": "uno", "language": "pt"}')
    kept, _ = read(folder)
    assert (kept["a"]["language"], kept["a"]["licence"]) == ("pt", "CC0-1.0")
    assert kept["good.txt"]["language"] == "it"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("licenza: CC0", "licenza is 'CC0'"),
        ("language: no", "put it in quotes"),
        ("sts_scale: [5, 0]", "lowest, highest"),
        ("sts_scale: [0, .inf]", "lowest, highest"),
        ("sts_scale: {sts/a.csv: [0, .nan]}", "lowest, highest"),
        ("sts_scale: [-1.0e+308, 1.0e+308]", "lowest, highest"),
        ("language: Klingon", "no language that is known"),
        ("language: ''", "must say something"),
        ("licence: ' '", "must say something"),
        ("[", "not valid YAML"),
        ("date: 2024-02-30", "not valid YAML"),
        ("x: " + "[" * 3000, "not valid YAML: it is nested too deep"),
        ('x: !!int ""', "not valid YAML"),
        ("- a", "the whole is"),
    ],
)
def test_a_set_yaml_that_means_nothing_is_refused(folder, text, sentence):
    put(folder, "set.yaml", text)
    with pytest.raises(UserError, match=r"set\.yaml") as error:
        read_documents(folder, MAX)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("line", "item", "item_id", "reason"),
    [
        (b'{"text": ', "line", "corpus.jsonl:2", "broken_json"),
        (b"[" * 100_000, "line", "corpus.jsonl:2", "broken_json"),
        (b'["a"]', "line", "corpus.jsonl:2", "not_an_object"),
        (b'{"text": "\xe8"}', "line", "corpus.jsonl:2", "invalid_utf8"),
        (b'{"text": "\\ud800"}', "line", "corpus.jsonl:2", "invalid_utf8"),
        *((b'{"_id": "x", "text": "%b"}' % text, "document", "x", "missing_text") for text in _NOTHING),
        (b'{"_id": "x", "text": 3}', "document", "x", "missing_text"),
        (b'{"_id": "first", "text": "uno"}', "document", "first", "duplicate_id"),
        (b'{"_id": "first", "text": "altro"}', "document", "first", "duplicate_id"),
        (b'{"text": "' + b"a" * 200_000 + b'"}', "line", "corpus.jsonl:2", "too_large"),
    ],
)
def test_a_broken_line_costs_that_line_alone(folder, line, item, item_id, reason):
    put(folder, "corpus.jsonl", b'{"_id": "first", "text": "uno"}\n' + line + b'\n{"_id": "last", "text": "due"}')
    kept, rejected = read(folder, 150_000)
    assert list(kept) == ["first", "last", "good.txt"]
    assert rejected == [(item, item_id, reason)]


def test_the_limit_counts_bytes_of_utf8(folder):
    frame = pl.DataFrame({"_id": ["fits", "large"], "text": ["è" * 50, "è" * 50 + "a"]})
    frame.write_parquet(folder / "documents" / "a.parquet")
    kept, rejected = read(folder, 100)
    assert "fits" in kept
    assert rejected == [("document", "large", "too_large")]


def test_a_csv_record_of_many_lines_that_is_too_long_is_one_reject(folder):
    put(folder, "documents/a.csv", '_id,text\na,"' + "x,y\n" * 100 + '"\nb,due\n')
    kept, rejected = read(folder, 200)
    assert set(kept) == {"good.txt", "b"}
    assert rejected == [("document", "a", "too_large")]


@pytest.mark.parametrize(
    ("broken", "lost"),
    [("b,due,tre", ["2"]), ('b,"due', ["2"]), ('b,"due" e', ["2"]), (b"b,\xff".decode("latin-1"), [])],
)
def test_a_broken_csv_row_costs_that_row_alone(folder, broken, lost):
    put(folder, "documents/a.csv", f'_id,text\n{broken}\nc,tre\nd,"quat\ntro"\n')
    kept, rejected = read(folder)
    assert {"c", "d"} < set(kept)
    assert rejected == [("line", f"documents/a.csv:{number}", "broken_row") for number in lost]


def test_a_quote_gone_astray_swallows_no_more_than_a_few_rows_worth(folder):
    rows = "".join(f"{n},testo numero {n}\n" for n in range(100))
    put(folder, "documents/a.csv", f'_id,text\na,"uno\n{rows}z,"\n')
    kept, rejected = read(folder, 200)
    assert {str(n) for n in range(100)} < set(kept)
    assert rejected == [("line", f"documents/a.csv:{number}", "broken_row") for number in (2, 103)]


def test_csv_bytes_that_are_not_utf8_cost_their_line(folder):
    put(folder, "documents/a.csv", b"_id,text\nb,\xff\nc,tre\nd," + "è\n".encode())
    kept, rejected = read(folder)
    assert {"c", "d"} < set(kept)
    assert rejected == [("line", "documents/a.csv:2", "invalid_utf8")]


def test_a_csv_field_longer_than_pythons_limit_is_read(folder):
    put(folder, "documents/a.csv", "_id,text\na," + "x" * 200_000 + "\n")
    assert len(read(folder, 1_000_000)[0]["a"]["text"]) == 200_000


@pytest.mark.parametrize(
    ("name", "content", "item", "reason"),
    [
        ("a.txt", b"\xff\xfe", "document", "missing_text"),
        ("a.txt", "Zażółć gęślą jaźń".encode("cp1250"), "document", "invalid_utf8"),
        ("a.txt", b" \n", "document", "missing_text"),
        ("a.txt", b"&nbsp;", "document", "missing_text"),
        ("a.txt", b"a" * (MAX + 1), "document", "too_large"),
        ("a.pdf", pdf(""), "document", "missing_text"),
        ("a.pdf", b"%PDF-1.4 no more", "file", "unreadable"),
        ("a.html", b"", "file", "unreadable"),
        ("a.parquet", b"PAR1 no more", "file", "unreadable"),
        ("a.csv", b"_id,testo\n1,uno\n", "file", "unreadable"),
        ("a.csv", b"", "file", "unreadable"),
        ("a.jsonl.gz", b"no gzip", "file", "unreadable"),
        ("a.jsonl.gz", b"\x1f\x8b\x08\x00cut", "file", "unreadable"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "mare"}', mtime=0)[:-4], "file", "unreadable"),
        ("a.pptx", b"x", "file", "unsupported"),
    ],
)
def test_a_file_that_cannot_be_read_is_rejected_with_its_reason(folder, name, content, item, reason):
    put(folder, f"documents/{name}", content)
    kept, rejected = read(folder)
    assert list(kept) == ["good.txt"]
    item_id = name if item == "document" else f"documents/{name}"
    assert rejected == [(item, item_id, reason)]


def test_what_stands_before_the_break_in_a_gzip_file_is_kept(folder):
    rows = "".join(json.dumps({"_id": str(n), "text": content_id(str(n))}) + "\n" for n in range(2000))
    put(folder, "corpus.jsonl.gz", gzip.compress(rows.encode())[:-1000])
    kept, rejected = read(folder)
    assert len(kept) > 500
    assert rejected[-1] == ("file", "corpus.jsonl.gz", "damaged")


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"text": [1]}),
        pl.DataFrame({"_id": ["a"]}),
        pl.DataFrame({"text": ["a"], "_id": [[1]]}),
        pl.DataFrame({"text": ["a"], "Text": ["b"]}),
    ],
)
def test_a_parquet_file_of_other_types_is_rejected_with_the_column(folder, frame):
    frame.write_parquet(folder / "documents" / "a.parquet")
    _, rejected = read_documents(folder, MAX)
    assert rejected["reason"].to_list() == ["unreadable"]
    assert "column" in rejected["detail"][0]


def test_links_are_followed_within_the_set_only(folder, tmp_path):
    put(tmp_path, "secret.txt", "segreto")
    (folder / "documents" / "in.txt").symlink_to(folder / "documents" / "good.txt")
    (folder / "documents" / "out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "documents" / "far").symlink_to(tmp_path)
    (folder / "documents" / "loop").symlink_to(folder)
    (folder / "documents" / "dead.txt").symlink_to(folder / "nothing")
    kept, rejected = read(folder)
    assert list(kept) == ["good.txt", "in.txt"]
    assert {item_id.removeprefix("documents/"): reason for _, item_id, reason in rejected} == {
        "out.txt": "outside_the_set",
        "far": "outside_the_set",
        "loop": "unsupported",
        "dead.txt": "unreadable",
    }


def test_keys_are_compared_without_capitals_and_a_title_may_be_a_number(folder):
    rows = [
        {"ID": 7, "Title": 2024, "text": "sette"},
        {"_id": "x", "_ID": "x", "Text": "otto", "title": 1.5, "text": ""},
    ]
    put(folder, "documents/a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    kept, rejected = read(folder)
    assert [kept["7"][key] for key in ("title", "text")] == ["2024", "sette"]
    assert [kept["x"][key] for key in ("title", "text")] == ["1.5", "otto"]
    assert rejected == []


@pytest.mark.parametrize(
    "row",
    [
        {"_id": "x", "_ID": "y", "text": "uno"},
        {"_id": "x", "id": "y", "text": "uno"},
        {"_id": "x", "text": "uno", "Text": "due"},
        {"_id": "x", "text": "uno", "licence": "MIT", "license": "CC0-1.0"},
        {"_id": ["x"], "text": "uno"},
        {"_id": {"$oid": "x"}, "text": "uno"},
        {"_id": True, "text": "uno"},
    ],
)
def test_a_row_whose_id_or_text_cannot_be_told_is_rejected(folder, row):
    put(folder, "corpus.jsonl", json.dumps(row))
    kept, rejected = read(folder)
    assert (list(kept), rejected) == (["good.txt"], [("document", "corpus.jsonl:1", "invalid_value")])


def test_ids_and_titles_that_are_numbers_or_dates_are_their_shortest_text(folder):
    ids = {"float": [1.1, 9.5], "single": pl.Series([0.1, 2.0], dtype=pl.Float32)}
    for name, values in {**ids, "day": [date(2024, 5, 1), date(2024, 5, 2)]}.items():
        frame = pl.DataFrame({"_id": values, "title": values, "text": ["uno", "due"]})
        frame.write_parquet(folder / f"documents/{name}.parquet")
    put(folder, "corpus.jsonl", '{"_id": 7.25, "text": "sette"}')
    kept, rejected = read(folder)
    assert set(kept) == {"7.25", "1.1", "9.5", "0.1", "2", "2024-05-01", "2024-05-02", "good.txt"}
    assert kept["9.5"]["title"] == "9.5"
    assert rejected == []


def test_hidden_files_and_dvc_pointers_are_passed_over(folder):
    for name in (".DS_Store", ".git/a.txt", "a.jsonl.dvc"):
        put(folder, f"documents/{name}", "x")
    assert read(folder)[1] == []


def test_a_corpus_laid_in_the_wrong_place_is_seen(folder):
    put(folder, "documenti.jsonl", '{"text": "a"}')
    put(folder, "README.md", "About this set")
    assert read(folder)[1] == [("file", "documenti.jsonl", "unsupported")]


def test_a_missing_set_names_those_that_are_there(folder):
    with pytest.raises(UserError, match=r"the sets there are mine; .*nestling add"):
        read_documents(folder.with_name("yours"), MAX)


def test_a_set_that_was_not_pulled_says_so(folder):
    put(folder.parent, "yours.dvc", "outs: []")
    with pytest.raises(UserError, match="dvc pull"):
        read_documents(folder.with_name("yours"), MAX)


def test_a_set_without_documents_has_the_reasons(folder):
    put(folder, "documents/good.txt", "")
    documents, rejected = read_documents(folder, MAX)
    assert documents.is_empty()
    assert rejected.rows() == [("document", "good.txt", "missing_text", "the file is empty", "")]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp1252", "mac_roman"])
def test_a_text_is_read_in_the_encoding_that_its_letters_show(folder, encoding):
    put(folder, "documents/good.txt", "Perché no? Così è più bello.".encode(encoding))
    assert read(folder)[0]["good.txt"]["text"] == "Perché no? Così è più bello."


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_lines_with_the_line_ends_of_old_macs_are_read(folder, encoding):
    lines = ['{"_id": "a", "text": "perché"}', "{", '{"_id": "c", "text": "tre"}']
    put(folder, "corpus.jsonl", "\r".join(lines).encode(encoding))
    kept, rejected = read(folder)
    assert list(kept) == ["a", "c", "good.txt"]
    assert rejected == [("line", "corpus.jsonl:2", "broken_json")]


def test_json_lines_that_were_joined_are_read(folder):
    put(folder, "corpus.jsonl", '\ufeff{"_id": "a", "text": "uno"}\n\ufeff{"_id": "b", "text": "due"}\n\ufeff')
    kept, rejected = read(folder)
    assert (list(kept), rejected) == (["a", "b", "good.txt"], [])


def test_json_lines_in_utf_16_are_read(folder):
    put(folder, "corpus.jsonl", ('{"_id": "a", "text": "perché \u2028no"}\n' * 2).encode("utf-16"))
    kept, rejected = read(folder)
    assert kept["a"]["text"] == "perché \u2028no"
    assert rejected == [("document", "a", "duplicate_id")]


def test_a_title_alone_is_a_text(folder):
    put(folder, "corpus.jsonl", '{"_id": "a", "title": "Biblioteca", "text": ""}\n{"_id": "b", "title": "Orto"}')
    put(folder, "documents/c.md", "# Il titolo\n\n")
    put(folder, "documents/d.csv", "id,title,text\nd,Treno,\n")
    put(folder, "documents/e.eml", "Subject: Nuovi orari\n\n")
    put(folder, "documents/f.html", "<html><head><title>Il forno</title></head><body></body></html>")
    docx(folder / "documents/g.docx", p("Il ponte", "Heading1"))
    kept, rejected = read(folder)
    assert {key: (row["title"], row["text"]) for key, row in kept.items() if key != "good.txt"} == {
        "a": ("", "Biblioteca"),
        "b": ("", "Orto"),
        "c.md": ("c", "Il titolo"),
        "d": ("", "Treno"),
        "e.eml": ("e", "Nuovi orari"),
        "f.html": ("f", "Il forno"),
        "g.docx": ("g", "Il ponte"),
    }
    assert rejected == []


@pytest.mark.parametrize("values", [[1.0, None, 3.0], [1.0, float("nan"), 3.0], [1, None, 3]])
def test_ids_that_a_missing_one_turned_into_floats_are_whole_numbers(folder, values):
    frame = pl.DataFrame({"ID": values, "Text": ["uno", "due", "tre"]}, strict=False)
    frame.write_parquet(folder / "documents" / "a.parquet")
    put(folder, "corpus.jsonl", '{"_id": 7.0, "text": "sette"}')
    kept, rejected = read(folder)
    assert list(kept) == ["7", "1", content_id("", "due"), "3", "good.txt"]
    assert rejected == []


def test_a_column_of_another_type_that_is_not_needed_costs_nothing(folder, capsys):
    frame = pl.DataFrame({"id": ["a"], "text": ["uno"], "license": [["cc0"]]})
    frame.write_parquet(folder / "documents" / "a.parquet")
    assert read(folder)[0]["a"]["text"] == "uno"
    assert "column license is List(String)" in capsys.readouterr().err


def test_ids_are_compared_composed_and_without_outer_blanks(folder):
    put(folder, "corpus.jsonl", '{"_id": "citt\\u00e0", "text": "uno"}\n{"_id": " citta\\u0300 ", "text": "uno"}')
    put(folder, "documents/cittá.txt".replace("á", "a\u0301"), "due")
    kept, rejected = read(folder)
    assert {"citt\u00e0", "citt\u00e1.txt"} < set(kept)
    assert rejected == [("document", "citt\u00e0", "duplicate_id")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("documents/a.csv", "id,text\na\nb\n"),
        ("documents/a.jsonl", '{"testo": "uno"}\n{"testo": "due"}'),
        ("documents/a.jsonl", '{"_id": "x", "text": "altro"}\n{"_id": "y", "text": "altro"}'),
    ],
)
def test_a_file_of_rows_of_which_nothing_is_left_is_rejected_as_a_whole(folder, name, content):
    put(folder, "corpus.jsonl", '{"_id": "x", "text": "uno"}\n{"_id": "y", "text": "due"}')
    put(folder, name, content)
    rejected = read(folder)[1]
    assert len(rejected) == 3
    assert rejected[-1] == ("file", name, "all_rejected")


@pytest.mark.parametrize(("name", "content"), [("a.csv", "id,text\n"), ("a.jsonl", ""), ("a.jsonl", " \n\n")])
def test_a_file_of_rows_without_a_row_is_told(folder, name, content):
    put(folder, f"documents/{name}", content)
    assert read(folder)[1] == [("file", f"documents/{name}", "missing_text")]


def test_a_file_that_another_repeats_word_for_word_is_not_lost(folder):
    for name in ("corpus.jsonl", "documents/a.jsonl"):
        put(folder, name, '{"_id": "x", "text": "uno"}\n{"_id": "y", "text": "due"}')
    assert [reason for *_, reason in read(folder)[1]] == ["duplicate_id"] * 2


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b" ").replace(b"\0", b""))))
def test_no_bytes_in_a_corpus_hide_the_lines_around_them(folder, lines):
    put(folder, "corpus.jsonl", b"\n".join([b'{"_id": "a", "text": "uno"}', *lines, b'{"_id": "z", "text": "fine"}']))
    kept, rejected = read(folder)
    assert {"a", "z"} < set(kept)
    told = Counter(item_id for _, item_id, _ in rejected)
    assert len(told) == sum(1 for line in lines if line.strip())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.text(alphabet='ab",;\n\r\té', max_size=12), min_size=1, max_size=6))
def test_any_csv_text_survives_a_round_trip(folder, rows):
    texts = [f"x{row}" for row in rows]
    frame = pl.DataFrame({"_id": [str(n) for n in range(len(texts))], "text": texts})
    frame.write_csv(folder / "documents" / "a.csv")
    kept, _ = read(folder)
    assert [kept[str(n)]["text"] for n in range(len(texts))] == texts
