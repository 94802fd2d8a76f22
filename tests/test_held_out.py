"""What is measured on: the same bytes whatever the encoder, the filter and people say."""

from nestling.retrieval.encoders import save_encoder
from nestling.tables.io import read_table
from nestling.tables.queries import LostQuery
from nestling.tables.training import RetrievalRow
from tests.encoders import tiny_bert
from tests.project import Project

HELD_OUT = ["data/heldout"]
STAGES = "filter, mine, select, curate, balance"
ROUND = f"from stages import {STAGES}\nfor stage in {STAGES}: stage.main()"


def dev_queries(project: Project) -> list[str]:
    rows = read_table(project.root / "data/balanced/retrieval/dev.parquet", RetrievalRow)
    return sorted(set(rows["query_id"]))


def test_another_encoder_and_another_filter_move_neither_the_held_out_suites_nor_the_dev_queries(project):
    suites, dev = project.digests(HELD_OUT), dev_queries(project)
    save_encoder(tiny_bert(), project.root / "models/other")  # of random weights: it finds next to nothing
    project.change({"shared.current": "models/other", "filter.max_rank": 1, "filter.max_copied": 0.1})
    project.change({"filter.trusted_origins": [], "filter.copied_from_words": 1})
    project.run("python", "-c", ROUND)
    assert set(read_table(project.root / "data/filtered/lost.parquet", LostQuery)["reason"]) >= {"not_found", "copied"}
    assert project.digests(HELD_OUT) == suites
    assert dev_queries(project) == dev
    assert len(suites) == 2
    assert dev
