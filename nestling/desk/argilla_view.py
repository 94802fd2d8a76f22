"""A retrieval record in Argilla's page: the query, which stays in sight, and the passages beside their letters.

It is HTML in a Markdown field, which Argilla's page cleans (DOMPurify) before it shows it: no script is needed, and
none would run. Every text goes in escaped, on one line: Markdown sees one block of HTML and nothing to parse. A letter
is a label of the form's own box: a click on it marks the passage, and it shows whether it is marked; where the page
shows several records beside one form, it is a letter alone. Argilla's custom fields were measured and left aside
(docs/decisions/0004).
"""

from collections.abc import Iterator
from html import escape

from nestling.desk.interface import LETTERS, NONE, RetrievalTask
from nestling.desk.marking import Marker
from nestling.desk.wording import Wording

LONG = 1400  # characters of a passage from which on it is folded: more than the lines below hold on a wide screen
_STYLE = """\
:root .text_field_component:has(.nest){padding:0;gap:0}
:root .text_field_component:has(.nest) .title-area{display:none}
.nest{color:var(--fg-primary,#222);font-size:15px;line-height:1.5}
:root .markdown-render:has(.nest)>h2{position:sticky;top:0;z-index:1;margin:0;padding:12px 16px;max-height:30vh;\
overflow:auto;color:var(--fg-primary,#222);white-space:pre-wrap;overflow-wrap:anywhere;\
background:var(--bg-accent-grey-1,#fff);border-bottom:1px solid var(--bg-opacity-20,#ccc);border-radius:10px 10px 0 0;\
font-size:17px;font-weight:600;line-height:1.35}
.nest-passage{display:grid;grid-template-columns:32px minmax(0,1fr);column-gap:12px;padding:12px 16px}
.nest-passage+.nest-passage{border-top:1px solid var(--bg-opacity-6,#eee)}
.nest-letter{width:28px;height:28px;border:1.5px solid var(--nest-edge,var(--fg-secondary,#666));border-radius:6px;\
background:var(--nest-ground,none);color:var(--nest-ink,inherit);\
box-shadow:0 0 0 var(--nest-ring,0) var(--bg-opacity-20,#ccc);font-weight:700;line-height:25px;text-align:center;\
user-select:none;pointer-events:none}
.record--focus .nest-letter{cursor:pointer;pointer-events:auto}
.nest-letter:hover{background:var(--nest-ground,var(--bg-opacity-10,#eee))}
.nest-text{max-height:var(--nest-height,none);overflow:var(--nest-over,hidden);white-space:pre-wrap;overflow-wrap:anywhere}
.nest-fold{order:1;grid-column:2;color:var(--fg-secondary,#555);font-size:13px}
.nest-fold summary{cursor:pointer;padding-top:4px}
.nest-fold:not([open])~.nest-text{max-height:var(--nest-height,12em);\
mask-image:var(--nest-fade,linear-gradient(#000 70%,transparent))}
@media(max-width:768px){:root .record .record__content:has(.nest){overflow:visible}\
:root .markdown-render:has(.nest)>h2,.nest-passage{padding:8px}}
.nest mark{padding:0;background:none;color:inherit;\
text-decoration:underline 1.5px var(--fg-cuaternary,#405ec9);text-underline-offset:3px}
"""
_LINE_ENDS = {ord(sign): f"&#{ord(sign)};" for sign in "\n\r\u2028\u2029"}
_LOOKS = {  # of a passage, by the state of its box
    "checked": "--nest-ground:var(--bg-action,#405ec9);--nest-edge:transparent;--nest-ink:#fff",
    "focus-visible": "position:sticky;bottom:0;background:var(--bg-solid-grey-1,#fafafa);"
    "--nest-ring:3px;--nest-height:55vh;--nest-fade:none;--nest-over:auto",
}


def view_of(task: RetrievalTask, wording: Wording) -> str:
    """Return the record as HTML that Argilla's Markdown field shows."""
    marker = Marker(task.query, str(task.metadata.get("language", "")))
    letters = LETTERS[: len(task.passages)]
    passages = (
        _passage(letter, text, marker, wording) for letter, (_, text) in zip(letters, task.passages, strict=True)
    )
    style = "".join([*_STYLE.splitlines(), *_answering(letters)])
    query = f'<h2 dir="auto">{_plain(task.query)}</h2>'  # first: "find similar" quotes a field's first characters
    return f'{query}<div class="nest"><style>{style}</style>{"".join(passages)}</div>'


def _passage(letter: str, text: str, marker: Marker, wording: Wording) -> str:
    title = _plain(wording.fields.passage.format(letter=letter))
    fold = f'<details class="nest-fold"><summary>{_plain(wording.fields.rest)}</summary></details>'
    told = "".join(f"<mark>{_plain(part)}</mark>" if hit else _plain(part) for part, hit in marker.parts(text))
    return (
        f'<div class="nest-passage nest-{letter}">'
        f'<label class="nest-letter" for="relevant_{letter}" title="{title}">{letter}</label>'
        f'{fold if len(text) > LONG else ""}<div class="nest-text" dir="auto">{told}</div></div>'
    )


def _answering(letters: str) -> Iterator[str]:
    """Yield how a passage looks while its box in the form is ticked, and while the keyboard is at the box.

    Argilla's page scrolls no passage for those who use the keyboard alone: one that lies below stands at the bottom.
    """
    for state, look in _LOOKS.items():
        passages = (f":root:has(#relevant_{one}:{state}) .record--focus .nest-{one}" for one in letters)
        yield f"{','.join(passages)}{{{look}}}"
    shown = ",".join(f"[for=relevant_{one}]" for one in [*letters, NONE])
    yield f"form label[for^=relevant_]:not({shown}){{opacity:.3;pointer-events:none}}"


def _plain(text: str) -> str:
    """Return HTML that shows the text, as one line in Markdown's eyes and without a quote that ends an attribute."""
    return escape(text).translate(_LINE_ENDS)
