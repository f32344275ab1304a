"""Forty arithmetic and knowledge questions with gold answers, for the tests with a real small model."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    text: str
    gold: str


_KNOWLEDGE = {
    "What is the capital of France?": "Paris",
    "What is the capital of Japan?": "Tokyo",
    "What is the capital of Italy?": "Rome",
    "What is the capital of Spain?": "Madrid",
    "What is the capital of Germany?": "Berlin",
    "What is the capital of England?": "London",
    "What is the capital of Canada?": "Ottawa",
    "What is the capital of Australia?": "Canberra",
    "What is the chemical symbol for gold?": "Au",
    "What is the chemical symbol for water?": "H2O",
    "How many days are in a week?": "7",
    "How many legs does a spider have?": "8",
    "Which planet is known as the Red Planet?": "Mars",
    "What is the largest ocean on Earth?": "Pacific",
    "What gas do plants take in from the air?": "carbon dioxide",
    "Who wrote the play Hamlet?": "Shakespeare",
    "What is the opposite of hot?": "cold",
    "What is the freezing point of water in degrees Celsius?": "0",
    "Which organ pumps blood through the body?": "heart",
    "What language is mainly spoken in Brazil?": "Portuguese",
}
_WORD_PROBLEMS = {
    "Anna has 12 apples and gives away 5. She then buys twice as many as she has left. "
    "How many apples does she have now?": "21",
    "A train travels 60 miles an hour for 3 hours and then 40 miles an hour for 2 hours. "
    "How many miles does it travel in all?": "260",
    "Tom saves 15 dollars a week for 8 weeks and spends 45 dollars. "
    "How many dollars does he have left?": "75",
    "A box holds 24 pencils. How many pencils are in 7 boxes if 13 pencils are lost?": "155",
    "Maria reads 18 pages a day. How many days does she need for a book of 270 pages?": "15",
    "A farmer has 9 rows of 14 trees and plants 3 more rows. How many trees does he have?": "168",
}
_SUMS = ((17, 25), (48, 76), (123, 456), (99, 101), (64, 36), (250, 375), (811, 94))
_PRODUCTS = ((7, 8), (12, 12), (15, 14), (23, 11), (9, 17), (31, 6), (45, 20))

QUESTIONS = (
    *(Question(text, gold) for text, gold in _KNOWLEDGE.items()),
    *(Question(text, gold) for text, gold in _WORD_PROBLEMS.items()),
    *(Question(f"What is {a} + {b}?", str(a + b)) for a, b in _SUMS),
    *(Question(f"What is {a} * {b}?", str(a * b)) for a, b in _PRODUCTS),
)
