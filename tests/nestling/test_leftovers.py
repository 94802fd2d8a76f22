"""What a model leaves of its task in a query, and what people write that only looks like it."""

import json
from functools import cache

import pytest

from nestling.queries.leftovers import Leftovers
from nestling.queries.templates import KINDS, load_template
from tests.project import REPOSITORY

LANGUAGES = ("it", "en", "es", "pt", "ca")
EVERY_LANGUAGE = pytest.mark.parametrize("language", LANGUAGES)
PASSAGE = "Super Bowl 50 was an American football game to determine the champion of the league for the 2015 season."


@cache
def left(language):
    return Leftovers(load_template(language))


@pytest.mark.parametrize("text", [
    "What is the capital of Poland]}",
    "What is the capital of Poland?\"]",
    "What is the capital of Poland?\"}",
    "{What is the capital of Poland?",
    "What is the capital (of Poland?",
    "What is the capital of Poland)?",
    "\"What is the capital of Poland?",
    "question\": [\"What is the capital of Poland?",
    "What is the capital?\", \"Who rules it?",
    "\"keywords\": \"capital Poland\"",
    "```json What is the capital of Poland?",
    "**What is the capital of Poland?**",
    "# Capital of Poland",
    "- What is the capital of Poland?",
    "1. What is the capital of Poland?",
    "2) What is the capital of Poland?",
    "a) What is the capital of Poland?",
    "What is the capital of Poland?\\n",
    "\\nwhat is the capital of Poland?",
    "What is the capital?\\nWho rules it?",
    "What is \\\"Poland\\\" known for?",
    "capital of Pol\\u00f3nia",
    "What is the capital of:",
    "What are the cities (",
])  # fmt: skip
@EVERY_LANGUAGE
def test_debris_of_json_markdown_and_lists_is_caught(language, text):
    assert left(language).is_debris(text)


@pytest.mark.parametrize(("language", "text"), [
    ("en", "Question: What is the capital of Poland?"),
    ("en", "Q1: What is the capital of Poland?"),
    ("en", "[Answer: Warsaw"),
    ("en", "What is the capital of Poland? Answer: Warsaw"),
    ("en", "keywords: Poland capital"),
    ("en", "keywords"),
    ("it", "Domanda 2: Qual è la capitale della Polonia?"),
    ("it", "Parole chiave: capitale Polonia"),
    ("it", "question: Qual è la capitale della Polonia?"),
    ("es", "Pregunta: ¿Cuál es la capital de Polonia?"),
    ("es", "*Afirmación: Varsovia es la capital de Polonia."),
    ("pt", "Pergunta: Qual é a capital da Polónia?"),
    ("pt", "Palavras-chave: capital Polónia"),
    ("ca", "Pregunta 1: Quina és la capital de Polònia?"),
    ("ca", "Resposta: Varsòvia"),
])  # fmt: skip
def test_a_label_before_a_query_is_debris(language, text):
    assert left(language).is_debris(text)


@pytest.mark.parametrize("text", [
    'Who designed the "50" of the logo?',
    'Is a 27" screen too large for a desk?',
    "How is (E)-2-butene told from (Z)-2-butene?",
    "What are steps (1, 2) of the recipe?",
    "What is the answer to question 5?",
    "Which of a) and b) applies to tenants?",
    "Why does it rain today? :)",
    "Where does C:\\new folder lie in Windows?",
    "What did 'Kyle XY', 'Perdidos' and 'El internado' have in common?",
    "Milano: orari della biblioteca",
    "opening hours: library and town hall",
    "1.5 litres of water a day, is it enough?",
    "10 things to see in Warsaw",
    "What does f(x) = [x] mean?",
    "COVID-19 -- which tests are free?",
    "-5 degrees: do olive trees survive?",
])  # fmt: skip
@EVERY_LANGUAGE
def test_ordinary_signs_are_no_debris(language, text):
    assert not left(language).is_debris(text)


NO_QUERY = {
    "en": [
        "The text doesn't specify the exact date.", "The passage does not explicitly mention a price.",
        "The provided text does not contain this.", "As an AI language model, I have no opinion.",
        "I'm sorry, but I can't help with that.", "Sorry, the answer is unknown.", "I cannot answer this question.",
        "Sure! What is the capital?", "Sure, here are two questions", "Here are the two questions you asked for:",
        "The number of players is not specified.", "Not mentioned", "N/A", "No information",
        "This is a question.", "here is the first part", "I am going to give you a problem and ask you to solve it.",
        "There is not enough information in the text to say.", "The article does not say who won.",
    ],
    "it": [
        "Questa è una domanda.", "Ti farò due domande.",
        "Il testo non specifica la data esatta.", "Il brano non lo dice.", "In quanto IA, non ho opinioni.",
        "Sono un modello linguistico.", "Mi dispiace, ma non posso aiutare.", "Non posso rispondere a questa domanda.",
        "Certo! Qual è la capitale?", "Ecco due domande sul testo:", "Il numero dei giocatori non è specificato.",
        "Non specificato", "L'articolo non menziona il prezzo.", "Nel testo non ci sono informazioni sul brano.",
    ],
    "es": [
        "Esta es la pregunta.",
        "El texto no especifica la fecha exacta.", "El pasaje no lo dice.", "Como modelo de lenguaje, no opino.",
        "Soy una inteligencia artificial.", "Lo siento, pero no puedo ayudar.", "No puedo responder a esa pregunta.",
        "¡Claro! ¿Cuál es la capital?", "Aquí tienes dos preguntas:", "No se especifica en el texto.",
        "No especificado", "No hay información suficiente sobre eso en el texto.",
    ],
    "pt": [
        "Esta é uma pergunta.",
        "O texto não especifica a data exata.", "A passagem não o diz.", "Como modelo de linguagem, não opino.",
        "Sou uma inteligência artificial.", "Desculpe, mas não posso ajudar.",
        "Não consigo responder a essa pergunta.",
        "Claro! Qual é a capital?", "Aqui estão duas perguntas:", "O número não é especificado.",
        "Não especificado", "Não há informações suficientes no texto.",
    ],
    "ca": [
        "Aquesta és la pregunta.",
        "El text no especifica la data exacta.", "El passatge no ho diu.", "Com a model de llenguatge, no opino.",
        "Soc una intel·ligència artificial.", "Ho sento, però no puc ajudar.", "No puc respondre aquesta pregunta.",
        "Per descomptat! Quina és la capital?", "Aquí tens dues preguntes:", "No s'especifica en el text.",
        "No especificat", "No hi ha prou informació al text.",
    ],
}  # fmt: skip
INNOCENT = {
    "en": [
        "I can't log in to the library's site, what can I do?",
        "What happens if the price is not specified?",
        "Why does the document not open in my browser?", "What does a language model learn from text?",
        "Here is my address: when is the rubbish collected?", "no answer from the town hall",
        "How is AI used in farming?",
        "Which treaty does not mention Poland?",
    ],
    "it": [
        "Non riesco a entrare nel sito della biblioteca, che cosa posso fare?",
        "Come un'IA impara a giocare a scacchi?",
        "Che cosa succede se il prezzo non è indicato?", "Perché il documento non si apre?",
        "certo che la multa va pagata entro un mese", "nessuno risponde al telefono del comune",
    ],
    "es": [
        "No puedo entrar en la web de la biblioteca, ¿qué hago?",
        "¿Cómo aprende una inteligencia artificial a jugar?",
        "¿Qué pasa si no se indica el precio?", "¿Por qué el documento no se abre?", "vale descuento museo",
    ],
    "pt": [
        "Não consigo entrar no site da biblioteca, o que faço?",
        "Como aprende uma inteligência artificial a jogar?",
        "O que acontece se o preço não é indicado?", "Porque é que o documento não abre?", "claro que a multa se paga",
    ],
    "ca": [
        "No puc entrar al web de la biblioteca, què faig?",
        "Com aprèn una intel·ligència artificial a jugar?",
        "Què passa si no s'indica el preu?", "Per què el document no s'obre?", "cap setmana al poble",
    ],
}  # fmt: skip


@EVERY_LANGUAGE
def test_talk_in_place_of_a_query_is_caught_in_its_language(language):
    assert [text for text in NO_QUERY[language] if not left(language).is_no_query(text)] == []


@EVERY_LANGUAGE
def test_people_who_speak_of_the_same_things_ask(language):
    assert [text for text in INNOCENT[language] if left(language).is_no_query(text)] == []
    assert [text for text in INNOCENT[language] if left(language).is_debris(text)] == []


@EVERY_LANGUAGE
def test_the_prompts_own_examples_are_echoes_also_with_a_few_words_changed(language):
    template = load_template(language)
    shown = [query for example in template.examples for kind in KINDS for query in example.queries[kind]]
    shown += [graded.query for graded in template.judge.examples] + [example.summary for example in template.examples]
    assert [text for text in shown if not left(language).is_echo(text, PASSAGE)] == []
    long = [text for text in shown if len(text.split()) > 7]
    changed = [" ".join(word for place, word in enumerate(text.split()) if place % 5 != 3) for text in long]
    caught = [left(language).is_echo(text, PASSAGE) for text in changed]
    assert sum(caught) >= 0.8 * len(caught)


def test_a_query_that_goes_on_from_an_examples_beginning_is_an_echo():
    assert left("en").is_echo("How hot should the oven be to shave white metal off the tip of a bullet?", PASSAGE)
    assert not left("en").is_echo(
        "How hot should the oven be to bake?", "Say how hot should the oven be to bake bread."
    )
    assert not left("en").is_echo("How long does it take to cross the bridge on foot?", PASSAGE)


@EVERY_LANGUAGE
def test_pieces_of_an_examples_passage_are_echoes(language):
    template = load_template(language)
    pieces = [" ".join(example.passage.split()[10:22]) for example in template.examples]
    assert [text for text in pieces if not left(language).is_echo(text, PASSAGE)] == []


@EVERY_LANGUAGE
def test_every_name_stands_in_an_example_and_is_an_echo_unless_the_passage_has_it(language):
    template = load_template(language)
    told = " ".join(f"{example.passage} {example.queries}" for example in template.examples).lower()
    for name in template.names:
        assert name.lower() in told
        assert left(language).is_echo(f"{name} 1900", PASSAGE)
        assert not left(language).is_echo(f"{name} 1900", f"{PASSAGE} {name} {PASSAGE}")


def test_no_query_of_the_sample_that_people_wrote_is_a_leftover():
    files = [REPOSITORY / "data/raw/sample/queries.jsonl", REPOSITORY / "data/raw/sample/eval/gold/queries.jsonl"]
    texts = [json.loads(line)["text"] for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    of = left("it")
    assert [text for text in texts if of.is_debris(text) or of.is_no_query(text) or of.is_echo(text, PASSAGE)] == []
