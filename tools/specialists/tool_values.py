"""Values that a request may name, each as people say it and as a call has it. Drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

Value = tuple[str, Any]
"""How a person says it, and what stands in the call."""

TEXTS: Mapping[str, list[str]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_bytes())


def one_of(texts: list[str]) -> Callable[[random.Random], Value]:
    """A text as it stands."""

    def pick(draw: random.Random) -> Value:
        text = draw.choice(texts)
        return text, text

    return pick


def whole(low: int, high: int) -> Callable[[random.Random], Value]:
    """A whole number, said in digits; of a thousand and more sometimes with a comma."""

    def pick(draw: random.Random) -> Value:
        number = draw.randint(low, high)
        return (f"{number:,}" if draw.random() < 0.3 else str(number)), number

    return pick


def year(draw: random.Random) -> Value:
    """A year, which nobody writes with a comma."""
    number = draw.randint(1900, 2024)
    return str(number), number


def decimal(low: float, high: float) -> Callable[[random.Random], Value]:
    """A number with one or two decimals."""

    def pick(draw: random.Random) -> Value:
        number = round(draw.uniform(low, high), draw.choice((1, 2)))
        return str(number), number

    return pick


def percent(draw: random.Random) -> Value:
    """A rate that is said in per cent and called as a fraction."""
    rate = draw.choice((1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25))
    return f"{rate}%", rate / 100


def date(draw: random.Random) -> Value:
    """A day, said with its month or as ISO has it."""
    of_year, month, day = draw.randint(2019, 2027), draw.randint(1, 12), draw.randint(1, 28)
    iso = f"{of_year}-{month:02}-{day:02}"
    return draw.choice((*spoken_dates(of_year, month, day), iso)), iso


def spoken_dates(of_year: int, month: int, day: int) -> tuple[str, ...]:
    """A day, as people write it."""
    spoken = TEXTS["month"][month - 1]
    ordinal = f"{day}{'th' if day in (11, 12, 13) else {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th')}"
    return (
        f"{spoken} {day}, {of_year}",
        f"{day} {spoken} {of_year}",
        f"{spoken} {ordinal}, {of_year}",
        f"{ordinal} {spoken} {of_year}",
    )


def clock(draw: random.Random) -> Value:
    """A time of day, in 24 hours or twice 12."""
    hour, minute = draw.randint(1, 23), draw.choice((0, 15, 30, 45))
    half, of_day = (hour - 1) % 12 + 1, "am" if hour < 12 else "pm"
    said = draw.choice((f"{hour:02}:{minute:02}", f"{half}:{minute:02} {of_day}"))
    return said, f"{hour:02}:{minute:02}"


def whole_list(draw: random.Random) -> Value:
    """Some whole numbers."""
    numbers = [draw.randint(1, 99) for _ in range(draw.randint(3, 6))]
    return draw.choice((", ".join(map(str, numbers)), str(numbers))), numbers


def text_list(texts: list[str]) -> Callable[[random.Random], Value]:
    """Two or three texts."""

    def pick(draw: random.Random) -> Value:
        chosen = draw.sample(texts, draw.randint(2, 3))
        return enumerated(chosen), chosen

    return pick


def enumerated(texts: list[str]) -> str:
    """Texts with commas, and `and` before the last."""
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))


def composed(*parts: str, sep: str = " ") -> Callable[[random.Random], Value]:
    """One text of each of `parts` after another."""

    def pick(draw: random.Random) -> Value:
        text = sep.join(filter(None, (draw.choice(TEXTS[part]) for part in parts)))
        return text, text

    return pick


def titled(draw: random.Random) -> Value:
    """A title that nobody has read before."""
    first, second, other = (draw.choice(TEXTS[part]) for part in ("colour", "noun", "noun"))
    text = draw.choice(
        (f"The {first} {second}", f"{first} {second}s", f"{second} of the {other}", f"{first} {second}")
    )
    title = " ".join(word if word == "of" else word[0].upper() + word[1:] for word in text.split())
    return title, title


def invented(draw: random.Random) -> Value:
    """A name of syllables."""
    name = "".join(draw.choice("bdfgklmnprstvz") + draw.choice("aeiou") for _ in range(draw.randint(2, 3)))
    name = name.capitalize() + draw.choice(("", "", "n", "x", "r", "s"))
    return name, name


def called_after(*last: str) -> Callable[[random.Random], Value]:
    """An invented or a family name, and what such a thing is called."""

    def pick(draw: random.Random) -> Value:
        first = draw.choice(
            (invented(draw)[0], draw.choice(TEXTS["family"]), draw.choice(TEXTS["noun"]).capitalize())
        )
        text = " ".join(filter(None, (first, *(draw.choice(TEXTS[part]) for part in last))))
        return text, text

    return pick


def any_of(*kinds: Callable[[random.Random], Value]) -> Callable[[random.Random], Value]:
    """A value of one of these kinds."""
    return lambda draw: draw.choice(kinds)(draw)


def signed(draw: random.Random) -> Value:
    """A number that may be below zero, whole or not."""
    number = draw.choice((draw.randint(-40, 120), round(draw.uniform(-9, 99), 1)))
    return str(number), number


def stars(draw: random.Random) -> Value:
    """From one to five, by halves."""
    number = draw.choice((2, 3, 3.5, 4, 4.2, 4.5, 4.8))
    return str(number), number


def money(draw: random.Random) -> Value:
    """Dollars, round more often than not, sometimes in thousands or millions."""
    if draw.random() < 0.2:
        number = draw.choice((2, 3, 5, 10, 25, 50)) * draw.choice((1000, 1_000_000))
        return (
            (f"{number // 1000}k", number)
            if number < 1_000_000
            else (f"{number // 1_000_000} million", number)
        )
    number = draw.choice((draw.randint(1, 90) * 100, draw.randint(1, 95) * 1000, draw.randint(100, 9999)))
    return (f"{number:,}" if draw.random() < 0.4 else str(number)), number


def large(draw: random.Random) -> Value:
    """Thousands and millions, in digits with commas or in words."""
    millions = draw.choice((draw.randint(1, 400), round(draw.uniform(1, 20), 1)))
    number = draw.choice(
        (draw.randint(2, 900) * 1000, draw.randint(1, 60) * 1_000_000, draw.randint(10, 999) * 100)
    )
    return draw.choice(
        ((f"{number:,}", number), (str(number), number), (f"{millions} million", round(millions * 1_000_000)))
    )


def in_words(draw: random.Random) -> Value:
    """A small number, as a word."""
    number = draw.randint(2, 12)
    return TEXTS["number_word"][number - 2], number


def span_of_days(draw: random.Random) -> Value:
    """Weeks and months, counted in days."""
    said, days = draw.choice(TEXTS["span_of_days"]).split("=")
    return said, int(days)


def percentage(draw: random.Random) -> Value:
    """A rate that is said and called in per cent."""
    rate = draw.choice((draw.randint(1, 40), draw.randint(2, 150) / 10))
    return draw.choice((f"{rate}%", f"{rate} percent")), rate


def renamed(texts: list[str]) -> Callable[[random.Random], Value]:
    """What is called by another text than it is said: each of `texts` is `said|said=called`."""

    def pick(draw: random.Random) -> Value:
        said, called = draw.choice(texts).split("=")
        return draw.choice(said.split("|")), called

    return pick


def as_said(texts: list[str]) -> Callable[[random.Random], Value]:
    """What `renamed` calls otherwise, called as it is said: a form is for who asks for it."""

    def pick(draw: random.Random) -> Value:
        said = draw.choice(draw.choice(texts).split("=")[0].split("|"))
        return said, said

    return pick


def coordinates(draw: random.Random) -> Value:
    """Latitude and longitude in degrees, with signs or with the points of the compass."""
    digits = draw.choice((1, 2, 4))
    north, east = round(draw.uniform(-70, 70), digits), round(draw.uniform(-175, 175), digits)
    compass = f"{abs(north)}° {'NS'[north < 0]}, {abs(east)}° {'EW'[east < 0]}"
    return draw.choice((f"({north}, {east})", f"{north}, {east}", compass, compass.replace("°", ""))), [
        north,
        east,
    ]


def precise_rate(draw: random.Random) -> Value:
    """A rate in per cent with a decimal, or as the fraction itself."""
    tenths = draw.randint(5, 180)
    said = draw.choice((f"{tenths / 10:g}%", f"{tenths / 10:g} percent", str(tenths / 1000)))
    return said, tenths / 1000


def american_date(draw: random.Random) -> Value:
    """A day that is called with its month first."""
    of_year, month, day = draw.randint(1990, 2026), draw.randint(1, 12), draw.randint(1, 28)
    called = f"{month:02}-{day:02}-{of_year}"
    return draw.choice((*spoken_dates(of_year, month, day), called)), called


def season(draw: random.Random) -> Value:
    """Two years."""
    first = draw.randint(1995, 2024)
    text = f"{first}-{first + 1}"
    return text, text


def code(draw: random.Random) -> Value:
    """Letters and digits."""
    letters = "".join(draw.choice("ABCDEFGHJKLMNPRSTUVW") for _ in range(draw.randint(1, 3)))
    text = f"{letters}{draw.choice(('', '-', '/'))}{draw.randint(10, 99999)}"
    return text, text


def path(draw: random.Random) -> Value:
    """A file, with or without folders."""
    folders = "".join(f"{draw.choice(TEXTS['word'])}/" for _ in range(draw.randint(0, 2)))
    root = "/" if folders and draw.random() < 0.5 else ""
    text = f"{root}{folders}{draw.choice(TEXTS['noun'])}.{draw.choice(TEXTS['extension'])}"
    return text, text


def listed(numbers: list[Any], draw: random.Random) -> str:
    """Numbers, as people write a list of them."""
    bare = ", ".join(map(str, numbers))
    ended = f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
    return draw.choice((f"[{bare}]", bare, ended, f"[{bare}]"))


def ints(draw: random.Random) -> Value:
    """Two to twelve whole numbers, at times below zero."""
    low = draw.choice((0, 1, 1, -50))
    numbers = [draw.randint(low, draw.choice((9, 99, 999))) for _ in range(draw.randint(2, 12))]
    return listed(numbers, draw), numbers


def floats(draw: random.Random) -> Value:
    """Two to nine numbers with a decimal."""
    numbers = [
        round(draw.uniform(draw.choice((0, -20)), 60), draw.choice((1, 1, 2)))
        for _ in range(draw.randint(2, 9))
    ]
    return listed(numbers, draw), numbers


def some_of(texts: list[str], most: int = 4) -> Callable[[random.Random], Value]:
    """One to `most` texts, with `and` or commas between them."""

    def pick(draw: random.Random) -> Value:
        chosen = draw.sample(texts, draw.randint(1, most))
        return draw.choice((enumerated(chosen), ", ".join(chosen))), chosen

    return pick


def some_people(draw: random.Random) -> Value:
    """Two to four given names."""
    return some_of(TEXTS["given"])(draw)


_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_PERSON = any_of(composed("given", "family"), composed("given", "family"), one_of(TEXTS["person"]))


KINDS: Mapping[str, tuple[Mapping[str, Any], Callable[[random.Random], Value]]] = {
    "city": ({"type": "string"}, one_of(TEXTS["city"])),
    "country": ({"type": "string"}, one_of(TEXTS["country"])),
    "person": ({"type": "string"}, one_of(TEXTS["person"])),
    "skill": ({"type": "string"}, one_of(TEXTS["skill"])),
    "topic": ({"type": "string"}, one_of(TEXTS["topic"])),
    "dish": ({"type": "string"}, one_of(TEXTS["dish"])),
    "product": ({"type": "string"}, one_of(TEXTS["product"])),
    "title": ({"type": "string"}, one_of(TEXTS["title"])),
    "element": ({"type": "string"}, one_of(TEXTS["element"])),
    "animal": ({"type": "string"}, one_of(TEXTS["animal"])),
    "currency": ({"type": "string"}, one_of(TEXTS["currency"])),
    "language": ({"type": "string"}, one_of(TEXTS["language"])),
    "date": ({"type": "string"}, date),
    "clock": ({"type": "string"}, clock),
    "small": ({"type": "integer"}, whole(2, 12)),
    "count": ({"type": "integer"}, whole(3, 90)),
    "amount": ({"type": "integer"}, whole(50, 25_000)),
    "year": ({"type": "integer"}, year),
    "number": ({"type": "number"}, decimal(0.5, 90)),
    "rate": ({"type": "number"}, percent),
    "numbers": ({"type": "array", "items": {"type": "integer"}}, whole_list),
    "cities": ({"type": "array", "items": {"type": "string"}}, text_list(TEXTS["city"])),
    "people": ({"type": "array", "items": {"type": "string"}}, text_list(TEXTS["person"])),
    "place": (_TEXT, any_of(one_of(TEXTS["town"]), one_of(TEXTS["town"]), one_of(TEXTS["city"]), invented)),
    "state": (_TEXT, one_of(TEXTS["state"])),
    "region": (_TEXT, one_of(TEXTS["region"])),
    "era": (_TEXT, one_of(TEXTS["era"])),
    "genre": (_TEXT, one_of(TEXTS["genre"])),
    "full_name": (_TEXT, _PERSON),
    "work": (_TEXT, any_of(titled, titled, one_of(TEXTS["title"]))),
    "work_short": (_TEXT, any_of(called_after(), composed("given", "family"), titled)),
    "museum": (_TEXT, called_after("ending")),
    "company": (_TEXT, any_of(called_after("firm", "suffix"), called_after("firm"), invented)),
    "specimen": (_TEXT, one_of(TEXTS["specimen"])),
    "named": (_TEXT, any_of(one_of(TEXTS["named"]), invented)),
    "league": (_TEXT, one_of(TEXTS["league"])),
    "exchange": (_TEXT, one_of(TEXTS["exchange"])),
    "season": (_TEXT, season),
    "code": (_TEXT, code),
    "path": (_TEXT, path),
    "sentence": (_TEXT, one_of(TEXTS["opening"])),
    "word": (_TEXT, one_of(TEXTS["word"])),
    "us_date": (_TEXT, american_date),
    "stars": ({"type": "number"}, stars),
    "signed": ({"type": "number"}, signed),
    "money": ({"type": "integer"}, any_of(money, money, large)),
    "precise_rate": ({"type": "number"}, any_of(percent, precise_rate)),
    "ints": ({"type": "array", "items": {"type": "integer"}}, ints),
    "floats": ({"type": "array", "items": {"type": "number"}}, floats),
    "given_names": (_TEXTS, some_people),
    "amenities": (_TEXTS, some_of(TEXTS["amenity"])),
    "traits": (_TEXTS, some_of(TEXTS["trait"])),
    "figures": (_TEXTS, some_of(TEXTS["figure"])),
    "kinds": (_TEXTS, some_of(TEXTS["kind"], 3)),
    "large": ({"type": "integer"}, large),
    "worded": ({"type": "integer"}, any_of(in_words, in_words, whole(2, 12))),
    "span_of_days": ({"type": "integer"}, any_of(span_of_days, span_of_days, whole(2, 60))),
    "percentage": ({"type": "number"}, percentage),
    "city_and_state": (_TEXT, renamed(TEXTS["city_and_state"])),
    "us_city": (_TEXT, as_said(TEXTS["city_and_state"])),
    "coordinates": ({"type": "array", "items": {"type": "number"}}, coordinates),
    "coin": (_TEXT, renamed(TEXTS["coin"])),
    "foods": (_TEXTS, some_of(TEXTS["food"])),
    "words": (_TEXTS, some_of(TEXTS["word"])),
}
