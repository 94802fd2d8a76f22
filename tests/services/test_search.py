"""What the local search service finds, of everything that Argilla's server asks."""

import pytest

from tests.services.finder import (
    NOBODY,
    Finder,
    answered,
    finding,
    installed_scripts,
    pending,
    response,
    shuffled,
    words,
)


@pytest.fixture
def finder():
    with finding() as finder:
        yield finder


@pytest.fixture
def texts(finder: Finder) -> Finder:
    finder.put(
        well={"fields": {"query": "Chi paga l'acqua del condominio?", "passages": "La bolletta si divide."}},
        sea={"fields": {"query": "acqua di mare", "passages": "L'acqua salata: come si misura la salinità."}},
        oil={"fields": {"query": "olio nuovo", "passages": "La spremitura a freddo, senza acqua calda."}},
    )
    return finder


@pytest.fixture
def scripts():
    return installed_scripts()


@pytest.fixture
def answers(finder: Finder) -> Finder:
    finder.put(
        both={
            "status": "completed",
            "responses": [response("r1", "anna", "submitted", grade=5), response("r2", "bruno", "draft", grade=1)],
        },
        anna={"status": "pending", "responses": [response("r3", "anna", "discarded", grade=3)]},
        none={"status": "pending"},
    )
    return finder


@pytest.fixture
def numbers(finder: Finder) -> Finder:
    finder.put(
        low={"metadata": {"theme": "mare", "rank": 2, "margin": 0.5}, "inserted_at": "2026-11-20T10:00:00.000001"},
        high={"metadata": {"theme": "cucina", "rank": 10}, "inserted_at": "2026-11-21T10:00:00"},
        bare={"metadata": {"theme": "mare", "other": [{}]}, "inserted_at": "2026-11-20T09:00:00+00:00"},
    )
    return finder


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("condominio", {"well"}),
        ("ACQUA", {"well", "sea", "oil"}),  # in an elision too
        ("l'acqua", {"well", "sea"}),  # but together
        ("acqua mare", {"sea"}),  # all words, wherever they stand
        ("mare | olio", {"sea", "oil"}),
        ("olio | mare salata", {"sea"}),  # from left to right
        ("salata (olio | mare)", {"sea"}),
        ("acqua -calda", {"well", "sea"}),
        ("-acqua", set()),
        ('"acqua salata"', {"sea"}),
        ('"salata acqua"', set()),
        ('"nuovo la"', set()),  # no phrase from one field to the next
        ("salin*", {"sea"}),
        ("salin", set()),
        ("salinita\u0300", {"sea"}),  # an accent of its own
        ("mare~1", {"sea"}),
        ("", set()),
        ("?! (", set()),
    ],
)
def test_words_are_found_as_people_type_them(texts, query, found):
    assert set(texts.words(query)) == found


def test_words_of_one_field_are_not_sought_in_the_other(texts):
    assert texts.words("calda", "fields.query") == []
    assert texts.words("calda", "fields.passages") == ["oil"]


def test_the_rarer_word_weighs_more(finder):
    finder.put(**{f"r{n}": {"fields": {"query": "mare mosso"}} for n in range(5)})
    finder.put(rare={"fields": {"query": "mare blu"}}, often={"fields": {"query": "mosso mosso"}})
    assert finder.words("blu | mosso")[0] == "rare"


def test_what_waits_for_a_person_is_what_that_person_did_not_answer(answers):
    assert set(answers.found(pending("bruno"))) == {"anna", "none"}
    assert answers.found({"bool": {"must_not": {"exists": {"field": "responses"}}}}) == ["none"]


def test_status_and_person_must_be_of_one_response(answers):
    assert answers.found(answered("draft", "bruno")) == ["both"]
    assert answers.found(answered("draft", "anna")) == []


def test_one_of_several_filters_is_enough_where_one_is_asked(answers):
    query = {"bool": {"should": [pending("anna"), answered("submitted", "anna")], "minimum_should_match": 1}}
    assert set(answers.found(query)) == {"both", "none"}


def test_progress_counts_records_by_status(answers):
    assert answers.count("terms", "status", size=3)["buckets"] == [
        {"key": "pending", "doc_count": 2},
        {"key": "completed", "doc_count": 1},
    ]
    assert answers.count("value_count", "status") == {"value": 3}


def test_a_persons_progress_counts_over_the_records_that_the_person_answered(answers):
    mine = {"nested": {"path": "responses", "query": {"term": {"responses.user_id": "anna"}}, "score_mode": "avg"}}
    buckets = answers.count("terms", "responses.status", mine, size=5)["buckets"]
    # bruno's draft on the same record is counted too: so does OpenSearch, for the server asks it in this way
    assert {bucket["key"]: bucket["doc_count"] for bucket in buckets} == {"discarded": 1, "draft": 1, "submitted": 1}


def test_a_response_takes_the_place_of_the_same_persons_earlier_one(answers, scripts):
    put, _ = scripts
    answers.respond("none", put, response("r9", "anna", "draft"))
    answers.respond("none", put, response("r9", "anna", "submitted", comment={"value": [1]}))
    assert answers.found(answered("draft", "anna")) == []
    assert answers.found(answered("submitted", "anna")) == ["both", "none"]


def test_a_response_that_is_taken_back_leaves_the_others(answers, scripts):
    _, drop = scripts
    answers.respond("both", drop, response("r1", "anna", "submitted"))
    assert answers.found(answered("submitted", "anna")) == []
    assert answers.found(answered("draft", "bruno")) == ["both"]


def test_part_of_a_record_changes_and_the_rest_stays(finder):
    finder.put(a={"status": "pending", "suggestions": {"quality": {"value": "good", "score": 0.5}}})
    finder.ask("POST", "/rg.1/_update/a", {"doc": {"status": "completed"}}, refresh="true")
    finder.ask("POST", "/rg.1/_update/a", {"doc": {"suggestions": {"quality": {"score": None, "value": "vague"}}}})
    assert finder.found({"terms": {"suggestions.quality.value": ["vague"]}}) == ["a"]
    assert finder.found({"exists": {"field": "suggestions.quality.score"}}) == []
    assert finder.found({"term": {"status": "completed"}}) == ["a"]


def test_a_suggestion_can_be_taken_away(finder):
    finder.put(a={"suggestions": {"quality": {"value": "good"}}})
    finder.ask("POST", "/rg.1/_update/a", {"script": 'ctx._source["suggestions"].remove("quality")'})
    assert finder.found({"exists": {"field": "suggestions"}}) == []


@pytest.mark.parametrize(
    ("field", "limits", "found"),
    [
        ("metadata.rank", {"gte": 2, "lte": 9}, ["low"]),
        ("metadata.rank", {"gte": "3"}, ["high"]),
        ("metadata.margin", {"lte": 0.5}, ["low"]),
        ("inserted_at", {"gte": "2026-11-20T10:00:00"}, ["low", "high"]),
        ("inserted_at", {"lte": "2026-11-20T10:00:00Z"}, ["bare"]),
    ],
)
def test_ranges_hold_for_numbers_and_times(numbers, field, limits, found):
    assert numbers.found({"range": {field: limits}}) == found


@pytest.mark.parametrize(
    ("clause", "found"),
    [
        ({"metadata.rank": "asc"}, ["low", "high", "bare"]),
        ({"metadata.rank": "desc"}, ["high", "low", "bare"]),  # who has none comes last either way
        ({"inserted_at": "asc"}, ["bare", "low", "high"]),
        ({"metadata.theme": "asc"}, ["high", "low", "bare"]),  # equals as they came
    ],
)
def test_records_are_sorted(numbers, clause, found):
    assert numbers.found(NOBODY, sort=[clause]) == found


def test_the_second_clause_decides_between_equals(numbers):
    assert numbers.found(NOBODY, sort=[{"metadata.theme": "desc"}, {"inserted_at": "asc"}]) == ["bare", "low", "high"]


def test_records_are_sorted_by_one_persons_grades(answers):
    nested = {"path": "responses", "filter": {"terms": {"responses.user_id": ["anna"]}}}
    sort = [{"responses.grade": {"order": "asc", "mode": "avg", "nested": nested}}]
    assert answers.found(NOBODY, sort=sort) == ["anna", "both", "none"]
    del nested["filter"]  # everybody's: 3 and (5 + 1) / 2
    assert answers.found(NOBODY, sort=sort) == ["both", "anna", "none"]


def test_metadata_are_summed_up(numbers):
    assert numbers.count("stats", "metadata.rank") == {"count": 2, "min": 2, "max": 10, "sum": 12}
    assert numbers.count("terms", "metadata.theme", size=1)["buckets"] == [{"key": "mare", "doc_count": 2}]


def test_the_nearest_come_first_and_the_vectors_own_record_stays_out(finder):
    points = {"east": [2, 0], "north": [0, 1], "northeast": [1, 1], "west": [-1, 0]}
    finder.put(nowhere={}, **{name: {"vectors": {"v1": point}} for name, point in points.items()})
    barred = {"bool": {"must_not": [{"ids": {"values": ["east"]}}]}}
    hits = finder.search({"knn": {"vectors.v1": {"vector": [1, 0], "k": 3, "filter": barred}}})["hits"]["hits"]
    assert [hit["_id"] for hit in hits] == ["northeast", "north", "west"]
    assert [hit["_score"] for hit in hits] == pytest.approx([(1 + 0.5**0.5) / 2, 0.5, 0])


def test_a_filter_does_not_eat_up_the_nearest(finder):
    finder.put(near={"vectors": {"v1": [1, 0]}}, far={"vectors": {"v1": [0, 1]}, "metadata": {"theme": "mare"}})
    only = {"bool": {"should": [{"terms": {"metadata.theme": ["mare"]}}], "minimum_should_match": 1}}
    assert finder.found({"knn": {"vectors.v1": {"vector": [1, 0], "k": 1}}}, post_filter=only) == ["far"]


def test_each_person_has_an_order_of_their_own_that_stays(finder):
    finder.put(**{f"r{n}": {} for n in range(20)})
    orders = {user: finder.found(shuffled(user), size=20) for user in ("anna", "bruno")}
    finder.put(r3={"status": "completed"})
    assert orders["anna"] != orders["bruno"]
    assert finder.found(shuffled("anna"), size=20) == orders["anna"]


def test_pages_follow_each_other_without_gap(finder):
    finder.put(**{f"r{n}": {} for n in range(25)})
    pages = [finder.found(shuffled("anna"), size=10, **{"from": start}) for start in (0, 10, 20)]
    assert [len(page) for page in pages] == [10, 10, 5]
    assert len({id_ for page in pages for id_ in page}) == 25


def test_a_search_counts_all_that_match_not_what_it_shows(texts):
    assert texts.search(words("acqua"), size=1)["hits"]["total"] == {"value": 3, "relation": "eq"}


def test_a_changed_record_is_found_by_its_new_words_alone(texts):
    texts.put(oil={"fields": {"query": "aceto"}})
    assert texts.words("olio") == []
    assert texts.words("aceto") == ["oil"]


def test_a_deleted_record_is_found_no_more(texts):
    gone = texts.bulk([{"delete": {"_index": "rg.1", "_id": id_}} for id_ in ("oil", "oil")])
    assert [item["delete"]["status"] for item in gone["items"]] == [200, 404]
    assert texts.words("olio") == []


def test_a_field_that_is_added_later_holds_for_what_comes_later(finder):
    finder.put(early={"metadata": {"lang": "it"}})
    finder.ask("PUT", "/rg.1/_mapping", {"properties": {"metadata.lang": {"type": "keyword"}}})
    finder.put(late={"metadata": {"lang": "it"}})
    assert finder.found({"terms": {"metadata.lang": ["it"]}}) == ["late"]


def test_an_index_that_is_made_again_is_empty(texts):
    texts.ask("DELETE", "/rg.1", ignore_unavailable="true")
    texts.ask("DELETE", "/rg.1", ignore_unavailable="true")
    assert texts.call("HEAD", "/rg.1").status_code == 404
    assert Finder(texts.client).found(NOBODY) == []
