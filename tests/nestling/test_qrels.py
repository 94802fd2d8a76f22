import pytest

from nestling.corpus.qrels import read_qrels

HEADER = "query-id\tcorpus-id\tscore\n"


def read(folder, content):
    (folder / "test.tsv").write_bytes(content if isinstance(content, bytes) else content.encode())
    found = read_qrels(folder / "test.tsv", folder)
    return [tuple(qrel) for qrel in found.relevant], [(reject.item_id, reject.reason) for reject in found.left_out]


@pytest.mark.parametrize(
    "content",
    [
        HEADER + "q1\td1\t2\n",
        "query-id\tcorpus-id\tscore\tvotes\nq1\td1\t2\t9\n",
        "votes\tscore\tcorpus-id\tquery-id\n9\t2\td1\tq1\n",
        "corpus-id\tquery-id\tscore\nd1\tq1\t2\n",
        "query_id,iteration,doc_id,relevance\nq1,0,d1,2\n",
        "qid\tquery\tdocid\tlabel\nq1\tche ore sono\td1\t2\n",
        "Query-ID; Corpus-ID; Score\nq1; d1; 2\n",
        '"query-id"\t"corpus-id"\t"score"\n"q1"\t"d1"\t"2"\n',
        "q1\td1\t2\n",
        "q1 0 d1 2\n",
        "q1\t0\td1\t2\n",
        "q1 Q0 d1 2\nq2 Q0 d2 0\n",
        HEADER + "q1\td1\t2.0\n",
        HEADER + " q1 \t d1 \t 2,0 \r\n",
        (HEADER + "q1\td1\t2\n").replace("\n", "\r"),
        (HEADER + "q1\td1\t2\n").encode("utf-16"),
        ("\ufeff" + HEADER + "q1\td1\t2\n").encode(),
    ],
)
def test_columns_are_those_that_the_header_names_else_beirs_or_trecs(tmp_path, content):
    qrels, rejects = read(tmp_path, content)
    assert qrels == [("q1", "d1", 2)]
    assert [reason for _, reason in rejects] == ["not_relevant"] * ("q2" in str(content))


@pytest.mark.parametrize(
    "content",
    [
        "domanda\tdocumento\tvoto\nq1\td1\t2\n",
        "query-id\tcorpus-id\nq1\td1\n",
        "query-id\tcorpus-id\trelevance\tscore\nq1\td1\t0\t87\n",
        "query-id\tcorpus-id\tscore\tscore\nq1\td1\t0\t87\n",
        "qid,query_id,docid,score\n1,q1,d1,1\n",
        "qid\tdocid\tpid\tscore\nq1\td1\tp1\t1\n",
        "q1\td1\t2\t3\nq2\td2\t2\t3\n",  # neither BEIR's three columns nor TREC's four
        "q1\td1\n",
        "",
    ],
)
def test_columns_that_cannot_be_told_are_not_guessed(tmp_path, content):
    assert read(tmp_path, content) == ([], [("test.tsv", "unreadable")])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("q1\t1.0\t1\nq2\t\t1\nq3\t3.0\t1\n", [("q1", "1", 1), ("q3", "3", 1)]),
        ("1.0\td1\t1\n\td2\t1\n2,0\td3\t1\n", [("1", "d1", 1), ("2", "d3", 1)]),
        ("1.0\t2.0\t1\n3.0\t4.0\t1\n", [("1.0", "2.0", 1), ("3.0", "4.0", 1)]),  # none is missing
    ],
)
def test_ids_that_a_missing_one_turned_into_floats_are_whole_numbers(tmp_path, rows, expected):
    assert read(tmp_path, HEADER + rows)[0] == expected


def test_a_judgement_that_is_given_again_is_told_whatever_its_grade(tmp_path):
    rows = "q1\td1\t0\nq1\td1\t0\nq1\td2\t0\nq1\td2\t1\nq1\td2\t1\n"
    assert read(tmp_path, HEADER + rows) == (
        [("q1", "d2", 1)],
        [
            ("test.tsv:3", "duplicate_id"),
            ("test.tsv:6", "duplicate_id"),
            ("q1 d2", "not_relevant"),
            ("q1 d1", "not_relevant"),
        ],
    )


@pytest.mark.parametrize("row", ["q2\td2\t2,5", "q2\td2\thigh", "q2\t\t1", "q2\td2", "q2\td2\t1\t1", '"q2\td2\t1'])
def test_a_broken_judgement_costs_that_row(tmp_path, row):
    assert read(tmp_path, f"{HEADER}q1\td1\t1\n{row}\nq3\td3\t1\n") == (
        [("q1", "d1", 1), ("q3", "d3", 1)],
        [("test.tsv:3", "broken_row")],
    )
