"""Take a dataset in BEIR's layout into a set: its corpus as documents, its judged queries as an evaluation suite."""

import gzip
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from nestling.cli import say
from nestling.commands.landing import Target, landing
from nestling.corpus.beir import Query, corpus_of, distinct_queries, one_of, queries_of, read_queries
from nestling.corpus.qrels import Known, Qrel, check_known, judged_for, read_qrels
from nestling.corpus.recorded import check_suite_name, suites_in
from nestling.corpus.rejects import Reject, counted, first_of
from nestling.corpus.rows import MAX_ROW, read_jsonl
from nestling.corpus.settings import Settings
from nestling.corpus.sources import Raw, distinct, row_documents
from nestling.errors import UserError
from nestling.tables.io import write_text


def bring_beir(folder: Path, target: Target, split: str, suite: str) -> None:
    """Copy the corpus, and write the queries that the qrels of `split` judge to eval/<suite>/.

    Raises:
        UserError: a file is missing, or the qrels name what is not there.
    """
    check_suite_name(suite, suites_in(target.folder, but=f"eval/{suite}"), "choose another name with --suite")
    corpus, queries, judgements = _files(folder, split)
    told = read_qrels(judgements, folder)
    asked, unread = distinct_queries(read_queries(queries, queries.name))
    documents, broken = distinct(
        row_documents(read_jsonl(corpus, corpus.name, MAX_ROW), corpus.name, MAX_ROW, Settings())
    )
    _check_read(folder, corpus, documents, broken, unread)
    known = Known.of((document.document_id for document in documents), broken, "document")
    asking = Known.of((query.query_id for query in asked), unread, "query")
    check_known(told.relevant, asking, known, f"{folder} {split}", "mend the dataset")
    judged = {qrel.query_id for qrel in told.relevant}
    if not judged:
        unjudged = told.left_out
        why = f" ({counted(unjudged)}; {first_of(unjudged)})" if unjudged else ""
        raise UserError(f"{judgements} judges no document relevant{why}: mend it or choose another --split")
    taken = [query for query in asked if query.query_id in judged]
    whole, unused = judged_for(told, judged, known.ids)
    with landing(target) as staging:
        _copy_plain(corpus, staging / "documents" / "corpus.jsonl")
        _write_suite(staging / "eval" / suite, taken, whole)
        size = f"{len(taken)} queries, {len(told.relevant)} qrels of {split}"
        say(f"took {len(documents)} documents; suite {suite}: {size}")
        unused = [*broken, *unread, *unused]
        why = f" ({counted(unused)}; {first_of(unused)})" if unused else ""
        say(f"left {len(asked) - len(taken)} queries without qrels, {len(unused)} rows that cannot be used{why}")


def _check_read(
    folder: Path, corpus: Path, documents: Sequence[Raw], broken: Sequence[Reject], unread: Sequence[Reject]
) -> None:
    cut = [one for one in (*broken, *unread) if one.reason in ("unreadable", "damaged")]
    if cut:
        raise UserError(f"{folder} has a file that is damaged ({cut[0].item_id}: {cut[0].detail}): fetch it again")
    if not documents:
        raise UserError(f"{corpus} has no document ({counted(broken)}; {first_of(broken)})")


def _files(folder: Path, split: str) -> tuple[Path, Path, Path]:
    corpus, queries = corpus_of(folder, folder), queries_of(folder, folder)
    judgements = one_of(folder / "qrels", folder, f"{split}.tsv") if split == Path(split).name else None
    if corpus is None or queries is None:
        lacking = "corpus.jsonl" if corpus is None else "queries.jsonl"
        raise UserError(f"{folder} has no {lacking}: BEIR's layout is corpus.jsonl, queries.jsonl, qrels/<split>.tsv")
    if judgements is None:
        there = ", ".join(sorted(path.stem for path in (folder / "qrels").glob("*.tsv"))) or "none"
        raise UserError(f"{folder} has no qrels/{split}.tsv: choose --split among those there ({there})")
    return corpus, queries, judgements


def _copy_plain(source: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True)
    with gzip.open(source) if source.suffix == ".gz" else source.open("rb") as full, copy.open("wb") as plain:
        shutil.copyfileobj(full, plain)


def _write_suite(folder: Path, queries: list[Query], qrels: list[Qrel]) -> None:
    rows = [json.dumps({"_id": query.query_id, "text": query.text}, ensure_ascii=False) for query in queries]
    write_text("".join(f"{row}\n" for row in rows), folder / "queries.jsonl")
    lines = ["query-id\tcorpus-id\tscore", *(f"{qrel[0]}\t{qrel[1]}\t{qrel[2]}" for qrel in qrels)]
    write_text("".join(f"{line}\n" for line in lines), folder / "qrels" / "test.tsv")
