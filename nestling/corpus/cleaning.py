"""Repair and normalise text without judging it: what comes out is still the owner's words."""

import re
import unicodedata

import ftfy

from nestling.corpus.segmentation import is_unspaced, segments

# explain=False spares the work of saying what it did
_REPAIR = ftfy.TextFixerConfig(explain=False, unescape_html="auto", normalization="NFC")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")  # ftfy leaves those that no encoding ever used
_DASHES = re.compile("[\u2010-\u2015\u2212]")
_TELLING = frozenset("%&@#\u00a7\u2030_-.,:/")  # punctuation that makes another text of one: the last five in places
_SILENT = "".join(
    sign
    for sign in map(chr, range(0x10000))
    if (unicodedata.category(sign)[0] == "P" and sign not in _TELLING) or sign in "|~`^\u00b4"
)
# a point stays between digits (1.5, 10:30), a hyphen also before a number and after a lone letter (-5, group A-), a
# hash sign after a word (C#)
_SILENT_HERE = re.compile(
    rf"[{re.escape(_SILENT)}]|(?<!\d)[.,:/]|[.,:/](?!\d)|(?<!\w)#"
    r"|(?<=\d)-(?!\d)|(?<=[^\W\d])-(?=\w)|(?<!\w)-(?!\d)|(?<=\w[^\W\d])-"
)
_LINE_ENDS = re.compile("[\x0b\x1c-\x1e]")  # soft line ends of Word and Excel, which ftfy drops between two words
_BLANKS = re.compile(r"[^\S\n]+")
_EMPTY_LINES = re.compile(r"\n\s*\n+")
_SIGNS = "".join(sign for sign in map(chr, range(0x300, 0x10000)) if unicodedata.category(sign).startswith("M"))
_WORD = re.compile(rf"\w[\w{_SIGNS}]*")  # \w alone takes no vowel sign, and would cut up Hindi, Tamil, vowelled Arabic
_MARKS = re.compile("[\u0300-\u036f]")

# format characters that show nothing and change no word in any script: directions, joiners of lines, tags
_INVISIBLE = re.compile(
    "[\u034f\u061c\u180e\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
# a soft hyphen, and the sign that some PDFs hold in its place, mark where a word may be parted
_SOFT_HYPHEN = re.compile(r"\u00ad(?:[^\S\n]*\n[^\S\n]*)?|(?<=[^\W\d_])\u00ac[^\S\n]*\n[^\S\n]*(?=[^\W\d_])")
# Thai, Lao, Khmer and Burmese part words with the zero-width space; Arabic, Persian, the scripts of India and emoji
# need the joiner and the non-joiner. Elsewhere both cut words in two.
_PARTING = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u1aff"
_JOINING = "\u0600-\u1cff\ua800-\uabff\u2190-\u2bff\ufe0f\U00010a00-\U00011fff\U0001f000-\U0001faff"
_ZERO_WIDTH = re.compile(rf"(?<![{_PARTING}])\u200b+|\u200b+(?![{_PARTING}\u200b])|(?<![{_JOINING}])[\u200c\u200d]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_ZERO_WIDTH_RUN = re.compile(r"[^\W\d_]*(?:\u200b+[^\W\d_]*)+")
_BETWEEN_WORDS = re.compile(r"([^\W\d_]+|[,;:.!?])\u200b+(?=([^\W\d_]+))")
_SEPARATORS = 3  # zero-width spaces, if more than blanks, are what parts the words of a text
_LINE_END_HYPHEN = re.compile(r"([^\W\d_]+)[-\u2010][^\S\n]*\n[^\S\n]*([^\W\d_]+)")
_SUSPENDED = frozenset(
    ["ed", "od", "et", "ou", "or", "and", "und", "oder", "bis", "bzw", "to"]
)  # "pre-\ned esami": the hyphen is no parting


def clean(text: str) -> str:
    """Return `text` with broken encodings mended, control and invisible characters removed, NFC, and single blanks.

    Words that a hyphen parts at the end of a line are joined. Markup, path-like strings and endless words are left as
    they are: to nestling they are plain text.
    """
    mended = unicodedata.normalize("NFC", _CONTROLS.sub("", ftfy.fix_text(_LINE_ENDS.sub("\n", text), config=_REPAIR)))
    visible = _ZERO_WIDTH.sub("", _part_words(_INVISIBLE.sub("", _SOFT_HYPHEN.sub("", mended))))
    return _EMPTY_LINES.sub("\n\n", _BLANKS.sub(" ", _join_lines(visible))).strip()


def one_line(text: str) -> str:
    """Return `text` cleaned and on one line, as titles, queries and sentences are kept."""
    return " ".join(clean(text).split())


def words(text: str) -> list[str]:
    """Return the words of `text`, lower case, without punctuation.

    Scripts that put no blanks between words are cut by a dictionary (see nestling.corpus.segmentation).
    """
    found = _WORD.findall(text.lower())
    return [part for run in found for part in segments(run)] if is_unspaced(text) else found


def normalized(text: str) -> str:
    """Return `text` without what copies of it may differ in: case, blanks, and punctuation that tells nothing.

    Signs that make another text of one stay where they are: -5, 1.5, 50 %, $ 50, C++, group A-.
    """
    said = _SILENT_HERE.sub(" ", _DASHES.sub("-", text.lower())).split()
    return ("" if is_unspaced(text) else " ").join(said) or text


def folded_words(text: str) -> list[str]:
    """Return the words of `text`, lower case and without accents, as people type them into a search box."""
    if is_unspaced(text):  # the dictionary knows composed characters alone
        return [_folded(word) for word in words(unicodedata.normalize("NFKC", text))]
    return _WORD.findall(_folded(text.lower()))


def _folded(text: str) -> str:
    return _MARKS.sub("", unicodedata.normalize("NFKD", text))


def _part_words(text: str) -> str:
    """Put a blank in the place of a zero-width space that is all that parts two words; within a word it may go.

    Two words they are where both stand elsewhere in the text and the whole does not, before a capital letter, and
    after a punctuation mark. (In the 241 texts of the sample that tells 9% of the blanks that such a space replaces,
    and takes 0.6% of those that cut a word for blanks.) So they are where such spaces outnumber the blanks.
    """
    if "\u200b" not in text or is_unspaced(text):
        return text
    known = set(_LETTERS.findall(_ZERO_WIDTH_RUN.sub(" ", text).lower()))
    separators = sum(left.isalpha() for left, _ in _BETWEEN_WORDS.findall(text)) >= max(_SEPARATORS, text.count(" "))

    def parted(found: re.Match[str]) -> str:
        left, right = found.groups()
        both = left.lower() in known and right.lower() in known and f"{left}{right}".lower() not in known
        capital = right[0].isupper() and (left[-1].islower() or left in ".!?")
        return f"{left} " if separators or both or capital or left in ",;:" else left

    return _BETWEEN_WORDS.sub(parted, text)


def _join_lines(text: str) -> str:
    """Join the words that a hyphen parts at the end of a line.

    The hyphen itself stays where the text has the word with it elsewhere and never without, before a capital letter
    (Emilia-Romagna), and where it stands for what follows ("pre-" and "post-").
    """
    while _LINE_END_HYPHEN.search(text):  # again for a word of three parts, of which the second is taken by then
        text = _join_once(text)
    return text


def _join_once(text: str) -> str:
    lower = text.lower()

    def joined(parted: re.Match[str]) -> str:
        left, right = parted.groups()
        if len(right) < 2 or right in _SUSPENDED:
            return f"{left}- {right}"
        whole, compound = f"{left}{right}".lower(), f"{left}-{right}".lower()
        if right[0].isupper() and not (left.isupper() and right.isupper()):
            return f"{left}-{right}"
        return f"{left}-{right}" if compound in lower and whole not in lower else f"{left}{right}"

    return _LINE_END_HYPHEN.sub(joined, text)
