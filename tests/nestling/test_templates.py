import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nestling.corpus.language import best_language
from nestling.errors import UserError
from nestling.queries.templates import (
    CRITERIA,
    KINDS,
    PROMPTS,
    Grader,
    Grades,
    PerKind,
    Writer,
    load_template,
    neutral,
)

LANGUAGES = ("ca", "en", "es", "it", "pt")
EVERY_LANGUAGE = pytest.mark.parametrize("language", LANGUAGES)

POINTING = {
    "it": [
        "Quali piante sono citate nel testo?",
        "Secondo il brano, chi costruì il ponte?",
        "Di che cosa si parla in questo passaggio?",
        "Qual è il tema principale del testo?",
        "Che cosa pensa l'autore del brano?",
        "Il testo dice che il faro fu spento nel 1990.",
        "In base all’articolo, quanto dura il prestito?",
        "Cosa consiglia l'autore?",
        "chi ha scritto il documento qui sopra",
        "Secondo l'autore come si pota la vite?",
        "Nel testo chi è il sindaco?",
        "Di cosa tratta il seguente brano?",
    ],
    "pt": [
        "Que animais são mencionados no texto?",
        "Segundo o trecho, quem ergueu o farol?",
        "De acordo com esta passagem, quanto custa a entrada?",
        "Qual é a ideia principal do texto?",
        "O que defende o autor?",
        "O texto afirma que a ponte ruiu em 1822.",
        "Neste artigo, como se define a maré?",
        "Quem é o autor do excerto?",
        "Que datas aparecem no documento acima?",
        "Conforme o texto quais são os horários?",
        "De que fala o texto?",
        "No texto, qual é o preço do cartão?",
    ],
    "es": [
        "¿Qué pueblos se mencionan en el texto?",
        "Según el pasaje, ¿quién levantó el viaducto?",
        "¿De qué se habla en este fragmento?",
        "¿Cuál es la idea principal del texto?",
        "¿Qué opina y qué recomienda el autor?",
        "El texto dice que el tren cerró en 1963.",
        "De acuerdo al texto, ¿cuánto dura el plazo?",
        "¿Quién es el autor de este artículo?",
        "resumen del documento de arriba",
        "En el texto ¿dónde está la mina?",
        "¿De qué trata el artículo?",
        "¿Cuántos bultos indica el párrafo anterior?",
    ],
    "ca": [
        "Quines eines s'esmenten en el text?",
        "Segons el passatge, qui va guiar els carboners?",
        "De què es parla en aquest fragment?",
        "Quina és la idea principal del text?",
        "Què recomana l'autor?",
        "El text diu que la festa és al novembre.",
        "D’acord amb l’article, quant costa l'hort?",
        "Qui és l'autora del text?",
        "Quins pobles surten al document de més amunt?",
        "Segons el text quan es fa el sorteig?",
        "De què tracta el següent text?",
        "Què s'explica al text?",
    ],
    "en": [
        "Which birds are mentioned in the text?",
        "According to the passage, who dug the canal?",
        "What is this article about, in this text?",
        "What is the main idea of the passage?",
        "What does the author recommend?",
        "The text says that the railway opened in 1850.",
        "Based on the information provided, how long is the permit valid?",
        "Who is the author of this article?",
        "summary of the article above",
        "What is the passage about?",
        "In the text, where is the library?",
        "How does the following passage describe the locks?",
        "According to the author, what caused the decline?",
    ],
}
INNOCENT = {
    "it": [
        "Che cosa stabilisce il testo unico sull'edilizia?",
        "Secondo il testo unico bancario chi vigila sulle banche?",
        "Che cosa dice l'articolo 5 della legge 241 del 1990?",
        "Secondo l'articolo 3 della Costituzione siamo tutti uguali.",
        "In quale contesto nacque la corporazione dei lanaioli?",
        "Chi ha composto il brano Volare?",
        "passaggio a livello Serravento orari chiusura",
        "Come avviene il passaggio di proprietà di un'auto usata?",
        "In quale romanzo l'autore descrive la peste di Milano?",
        "Come si inserisce una nota nel testo con un elaboratore?",
        "Quali tributi sono elencati nel documento di pagamento unico?",
        "Chi è l'autore del testo dell'inno nazionale?",
        "Quali strumenti suonano nel brano finale del concerto di Serravento?",
        "Devo restituire questo articolo, comprato on line: ho ancora lo scontrino.",
    ],
    "pt": [
        "O que diz o artigo 5.º da Constituição?",
        "Segundo o artigo 12 do regulamento, quem paga a multa?",
        "Em que contexto foi construído o farol?",
        "passagem de nível Vale de Arca horário",
        "Quanto custa a passagem de avião para Santa Iria?",
        "Em que trecho da estrada há obras no verão?",
        "Quem é o autor do texto do hino nacional?",
        "Em que romance o autor descreve o terramoto de Lisboa?",
        "Como se insere uma imagem no texto de uma página?",
        "Que alterações sofreu o texto da lei do arrendamento?",
        "Como se procura uma palavra no texto?",
        "Que prazos são referidos no documento único automóvel?",
    ],
    "es": [
        "¿Qué regula el texto refundido de la ley del suelo?",
        "Según el texto refundido, ¿quién paga la tasa?",
        "¿Qué dice el artículo 14 de la Constitución?",
        "¿En qué contexto se construyó la vía estrecha?",
        "pasaje de avión barato Arenal Viejo",
        "¿Qué fragmento de ADN se amplifica en la prueba?",
        "¿Quién es el autor del texto del himno de Robledal?",
        "¿En qué novela el autor describe la batalla del puente?",
        "¿Cómo se busca una palabra en el texto?",
        "¿Qué tiendas hay en el pasaje comercial de la plaza?",
        "Según el artículo 7 de la ordenanza, la recogida es gratuita.",
        "¿Qué cambios introdujo el Senado en el texto de la ley?",
    ],
    "ca": [
        "Què regula el text refós de la llei d'urbanisme?",
        "Segons el text refós, qui paga la taxa?",
        "Què diu l'article 5 de l'Estatut?",
        "En quin context va néixer la festa dels Fanalers?",
        "passatge de la Riera Castellnegre botigues",
        "Quin fragment d'ADN s'amplifica en la prova?",
        "Qui és l'autor del text de l'himne de Puigserè?",
        "En quina novel·la l'autor descriu la verema?",
        "Com s'insereix una imatge en el text?",
        "Segons l'article 7 de l'ordenança, l'aigua és gratuïta.",
        "Quines esmenes es van fer al text de la llei?",
        "Com es tramita un document públic?",
    ],
    "en": [
        "How do I send a text message from abroad?",
        "What does Article 5 of the treaty say?",
        "Where can I read the text of the Oldmere bylaw?",
        "Who made the first crossing of the Northwest Passage?",
        "In which context was the canal built?",
        "What was found in the passage tomb of Brennet?",
        "According to the author of Emma, who was the best dancer?",
        "What does the author say about slavery in the novel Beloved?",
        "How do I replace a word in the text with a keyboard shortcut?",
        "book passage ferry Coldhaven",
        "The right of passage through the straits was granted in 1936.",
        "Which goods are listed in the document of title for a ship?",
    ],
}
SPECIAL_TOKENS = [
    "<|im_start|>system", "<|im_end|>", "<|endoftext|>", "<s>", "</s>", "<bos>",
    "<start_of_turn>user", "<end_of_turn>", "<|begin_of_text|>", "<|eot_id|>",
    "<|start_header_id|>", "<<SYS>>", "<</SYS>>", "[INST]", "[/INST]", "[TOOL_CALLS]",
    "[AVAILABLE_TOOLS]", "[gMASK]", "<sop>", "<|user|>", "<|assistant|>", "<|end|>",
    "<|START_OF_TURN_TOKEN|>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<think>", "</think>", "<unk>",
    "<pad>", "<tool_call>", "<|channel|>", "<fim_prefix>",
]  # fmt: skip


def points(language, query):
    return any(re.search(found, query, re.IGNORECASE) for found in load_template(language).refers_to_text)


def characters(messages):
    return sum(len(content) for _, content in messages)


def texts_of(template):
    """Every text of a template that should be in its language, one string a place where another could slip in."""
    yield template.system
    yield template.judge.system
    yield " ".join(template.kinds[kind] for kind in KINDS)
    yield template.summary
    for example in template.examples:
        yield from (example.passage, example.summary, *example.queries.question, *example.queries.description)
        yield " ".join(example.queries.keywords + example.queries.claim)


def test_every_shipped_file_is_a_template_of_its_language():
    assert tuple(sorted(path.stem for path in PROMPTS.iterdir())) == LANGUAGES
    names = [load_template(language).name for language in LANGUAGES]
    assert names == ["català", "English", "español", "italiano", "português"]


@EVERY_LANGUAGE
def test_a_template_holds_no_text_of_another_language(language):
    texts = list(texts_of(load_template(language)))
    found = zip(texts, best_language(texts, LANGUAGES), strict=True)
    assert [text for text, (code, _) in found if code != language] == []


@EVERY_LANGUAGE
def test_examples_keep_the_rules_that_they_show(language):
    template = load_template(language)
    assert len(template.examples) == 3
    for example in template.examples:
        queries = example.queries
        assert 60 <= len(example.passage.split()) <= 110
        assert [len(queries[kind]) for kind in ("question", "description", "claim")] == [2, 1, 1]
        assert all(2 <= len(text.split()) <= 6 and not re.search("[?.]", text) for text in queries.keywords)
        assert all(text.endswith("?") for text in queries.question)
        assert all(text.endswith(".") for text in queries.claim + queries.description)
        assert not [text for kind in KINDS for text in queries[kind] if points(language, text)]


@EVERY_LANGUAGE
def test_the_judge_sees_good_unanswerable_vague_foreign_and_broken_queries_and_one_in_between(language):
    good, unanswerable, vague, foreign, broken, between = (
        example.grades for example in load_template(language).judge.examples
    )
    assert good == Grades(answerable=4, specific=4, fluent=4, language=4)
    assert unanswerable.answerable == vague.specific == foreign.language == broken.fluent == 0
    assert all(0 < grade < 4 for grade in vars(between).values())


@EVERY_LANGUAGE
def test_the_marks_that_the_system_names_stand_round_the_texts(language):
    template = load_template(language)
    for system, ask in ((template.system, template.ask), (template.judge.system, template.judge.ask)):
        lines = ask.splitlines()
        around = [(lines[at - 1], lines[at + 1]) for at, line in enumerate(lines) if line in ("{passage}", "{query}")]
        assert around == [(f"<{mark}>", f"</{mark}>") for mark in re.findall(r"</(\w+)>", system)]


@pytest.mark.parametrize(("language", "query"), [(code, query) for code in POINTING for query in POINTING[code]])
def test_a_query_that_points_at_the_text_is_caught(language, query):
    assert points(language, query)


@pytest.mark.parametrize(("language", "query"), [(code, query) for code in INNOCENT for query in INNOCENT[code]])
def test_a_query_that_only_holds_such_words_is_not_caught(language, query):
    assert not points(language, query)


def test_no_query_that_a_person_wrote_for_the_sample_is_caught():
    lines = (Path(__file__).parents[2] / "data/raw/sample/queries.jsonl").read_text(encoding="utf-8").splitlines()
    found = re.compile("|".join(f"(?:{one})" for one in load_template("it").refers_to_text), re.IGNORECASE)
    assert len(lines) > 500
    assert [line for line in lines if found.search(json.loads(line)["text"])] == []


@EVERY_LANGUAGE
def test_all_but_the_last_message_is_shared_and_of_bounded_length(language):
    template = load_template(language)
    writer, grader = Writer(template, KINDS, 40), Grader(template)
    first, second = writer.messages("A", {"question": 1}), writer.messages("B", {"claim": 3})
    assert all(one is other for one, other in zip(first[:-1], second[:-1], strict=True))
    assert first[:-1] == writer.shared
    assert grader.messages("A", "a")[:-1] == grader.messages("B", "b")[:-1] == grader.shared
    assert 3500 <= characters(writer.shared) <= 5000
    assert 2500 <= characters(grader.shared) <= 4500


@pytest.mark.parametrize("kinds", [("question",), ("claim", "keywords"), KINDS])
def test_only_the_kinds_in_use_are_spoken_of_and_in_their_order(kinds):
    system, *turns = Writer(load_template("it"), kinds, 0).shared
    assert re.findall(r'^- "(\w+)"', system[1], re.MULTILINE) == list(kinds)
    answers = [json.loads(content) for role, content in turns if role == "assistant"]
    assert [list(answer) for answer in answers] == [list(kinds)] * 3
    assert not [kind for kind in set(KINDS) - set(kinds) if f'"{kind}"' in "".join(content for _, content in turns)]


@EVERY_LANGUAGE
def test_an_example_answers_what_its_request_wants(language):
    _, *turns = Writer(load_template(language), KINDS, 0).shared
    assert [role for role, _ in turns] == ["user", "assistant"] * 3
    for (_, asked), (_, answered) in zip(turns[::2], turns[1::2], strict=True):
        wanted = dict(re.findall(r'"(\w+)": (\d+)', asked.splitlines()[-1]))
        assert wanted == {kind: str(len(texts)) for kind, texts in json.loads(answered).items()}


@EVERY_LANGUAGE
def test_a_summary_comes_first_and_only_when_it_is_asked_for(language):
    template = load_template(language)
    with_one, without = Writer(template, KINDS, 35).shared, Writer(template, KINDS, 0).shared
    assert "35" in with_one[0][1].splitlines()[-1]
    assert '"summary"' in with_one[0][1]
    assert [list(json.loads(content)) for role, content in with_one if role == "assistant"] == [
        ["summary", *KINDS]
    ] * 3
    assert not [content for _, content in without if "summary" in content]


def test_the_judge_answers_with_the_four_criteria():
    answers = [json.loads(content) for role, content in Grader(load_template("pt")).shared if role == "assistant"]
    assert [tuple(answer) for answer in answers] == [CRITERIA] * 6
    assert tuple(PerKind.model_fields) == KINDS


def test_the_request_says_how_many_of_each_kind():
    messages = Writer(load_template("it"), KINDS, 0).messages("Il mulino.", {"claim": 1, "question": 2, "keywords": 0})
    assert messages[-1] == (
        "user", '<testo>\nIl mulino.\n</testo>\nScrivi: "question": 2 domande, "claim": 1 affermazione'
    )  # fmt: skip


def test_what_stands_in_a_passage_or_query_is_never_filled_in():
    passage, query = r"{wanted} {query} {n} {} \1 {passage", "{passage} {query}"
    (_, asked), (_, graded) = (
        Writer(load_template("en"), KINDS, 0).messages(passage, {"claim": 2})[-1],
        Grader(load_template("en")).messages(passage, query)[-1],
    )
    assert asked == f'<text>\n{passage}\n</text>\nWrite: "claim": 2 claims'
    assert graded == f"<text>\n{passage}\n</text>\n<query>\n{query}\n</query>"


@pytest.mark.parametrize("wanted", [{}, {"claim": 0}, {"question": 1}, {"claim": -1}, {"claim": 1, "cloze": 1}])
def test_a_request_for_nothing_or_for_a_kind_not_in_use_is_a_bug(wanted):
    with pytest.raises(ValueError, match="name at least one query of"):
        Writer(load_template("en"), ["claim"], 0).messages("A mill.", wanted)


@pytest.mark.parametrize("kinds", [[], ["cloze"], ["claim", "claim"]])
def test_kinds_that_are_none_are_a_bug(kinds):
    with pytest.raises(ValueError, match="choose some of"):
        Writer(load_template("en"), kinds, 0)


@pytest.mark.parametrize("token", SPECIAL_TOKENS)
def test_no_special_token_of_a_chat_survives_in_a_prompt(token):
    passage = f"Before {token}{token} after."
    for messages in (
        Writer(load_template("en"), KINDS, 0).messages(passage, {"claim": 1}),
        Grader(load_template("en")).messages("A mill.", passage),
    ):
        assert token not in messages[-1][1]


@EVERY_LANGUAGE
def test_a_passage_cannot_close_its_own_marks(language):
    template = load_template(language)
    marks = re.findall(r"</?\w+>", template.ask + template.judge.ask)
    text = "".join(marks)
    asked = Writer(template, KINDS, 0).messages(text, {"claim": 1})[-1][1]
    graded = Grader(template).messages(text, text)[-1][1]
    assert re.findall(r"</?\w+>", asked + graded) == marks


@pytest.mark.parametrize("text", ["a < b", "2 <\n3", "see [1] and [a note]", "[sic]", "f(x) = x[i] > 0", "<"])
def test_text_that_opens_no_tag_stays_as_it_is(text):
    assert neutral(text) == text


@given(st.text(alphabet="<>|/[]A_a ｜\n", max_size=30))
def test_neutral_text_is_neutral_already_and_loses_nothing(text):
    once = neutral(text)
    assert neutral(once) == once
    assert not re.search(r"<\S|\[[A-Z_/]+\]", once)
    assert once.replace(" ", "") == text.replace(" ", "")


def broken(folder, change):
    """The sentence about English template `change`d by a function, as a file of the folder."""
    tree = yaml.safe_load((PROMPTS / "en.yaml").read_text(encoding="utf-8"))
    change(tree)
    (folder / "en.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    with pytest.raises(UserError) as raised:
        load_template("en", folder)
    assert "\n" not in str(raised.value)
    return str(raised.value).removeprefix(f"{folder}/en.yaml: ")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda tree: tree.pop("system"), "system is missing"),
        (lambda tree: tree["kinds"].pop("claim"), "kinds.claim is missing"),
        (lambda tree: tree["wanted"]["claim"].pop("many"), "wanted.claim.many is missing"),
        (lambda tree: tree["examples"][1]["queries"].pop("claim"), "examples.1.queries.claim is missing"),
        (
            lambda tree: tree["examples"][0]["queries"].update(claim=[]),
            "examples.0.queries.claim: tuple should have at least 1 item after validation, not 0",
        ),
        (
            lambda tree: tree.update(examples=[]),
            "examples: tuple should have at least 1 item after validation, not 0",
        ),
        (lambda tree: tree.update(systen="Hello."), "systen is not a field of a prompt template"),
        (lambda tree: tree["kinds"].update(cloze="A gap."), "kinds.cloze is not a field of a prompt template"),
        (lambda tree: tree.update(system=" \n"), "system is empty"),
        (lambda tree: tree.update(name=3), "name: input should be a valid string"),
        (lambda tree: tree.update(ask="{passage}"), "ask lacks the placeholder {wanted}"),
        (
            lambda tree: tree.update(ask="{passage} {wanted} {pasage}"),
            "ask holds {pasage}, which is no placeholder there",
        ),
        (lambda tree: tree.update(summary="Sum it up."), "summary lacks the placeholder {words}"),
        (lambda tree: tree["wanted"]["claim"].update(many="claims"), "wanted.claim.many lacks the placeholder {n}"),
        (lambda tree: tree["judge"].update(ask="{passage}"), "judge.ask lacks the placeholder {query}"),
        (lambda tree: tree.update(system="Read {passage}."), "system holds {passage}, which is no placeholder there"),
        (
            lambda tree: tree["refers_to_text"].insert(0, "(the text"),
            "refers_to_text.0 is no regular expression: missing ), unterminated subpattern at position 0",
        ),
        (
            lambda tree: tree["refers_to_text"].insert(0, "(the text)?"),
            "refers_to_text.0 matches the empty text, and so every query",
        ),
        (
            lambda tree: tree["judge"]["examples"][0]["grades"].update(fluent=5),
            "judge.examples.0.grades.fluent: input should be less than or equal to 4",
        ),
        (
            lambda tree: tree["judge"]["examples"][0]["grades"].pop("language"),
            "judge.examples.0.grades.language is missing",
        ),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(tmp_path, change, sentence):
    assert broken(tmp_path, change) == sentence


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    sentence = broken(tmp_path, lambda tree: (tree.pop("name"), tree.update(more="x")))
    assert sentence == "name is missing; more is not a field of a prompt template"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"name: [", "is not valid YAML: while parsing"),
        (b"name: \xff", "is not valid YAML: 'utf-8' codec"),
        (b"", "the file: input should be an object"),
        (b"- name", "the file: input should be an object"),
        (b"2026-01-01: x", "is not a mapping of names to texts"),
        (b"name: &a [*a]", "is not a mapping of names to texts: Circular reference"),
    ],
)
def test_a_file_that_is_no_template_is_named(tmp_path, content, sentence):
    (tmp_path / "it.yaml").write_bytes(content)
    with pytest.raises(UserError) as raised:
        load_template("it", tmp_path)
    assert str(raised.value).removeprefix(f"{tmp_path}/it.yaml").lstrip(": ").startswith(sentence)


@pytest.mark.parametrize("language", ["fr", "IT", "ita", "", "it\n", "../it", "i*", "ìt"])
def test_a_language_without_a_template_learns_how_to_get_one(language):
    with pytest.raises(UserError) as raised:
        load_template(language)
    assert str(raised.value) == (
        f"there is no prompt template for {language!r} (there are: ca, en, es, it, pt): "
        f"copy {PROMPTS}/en.yaml to <ISO 639-1 code>.yaml in the same folder and translate it"
    )


def test_braces_that_are_no_placeholder_stay(tmp_path):
    tree = yaml.safe_load((PROMPTS / "en.yaml").read_text(encoding="utf-8"))
    tree["system"] = 'Answer {"claim": ["..."]} {} {like this}.'
    tree["ask"] = '{passage}\n{"a": {}}\n{wanted}'
    (tmp_path / "fr.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    system, *_, (_, asked) = Writer(load_template("fr", tmp_path), ["claim"], 0).messages("P", {"claim": 1})
    assert system[1].splitlines()[0] == tree["system"]
    assert asked == 'P\n{"a": {}}\n"claim": 1 claim'
