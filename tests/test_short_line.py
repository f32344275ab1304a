"""One short line of what other people's code says, or fails to say."""

from pinnace.models.short_line import error_line, first_error, short_line


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("there are no words for it")


def test_a_text_becomes_one_line_that_ends_where_it_may() -> None:
    assert short_line("  one\n two\tthree ") == "one two three"
    assert short_line("a" * 1_000_000, 5) == "aaaaa…"
    assert short_line("lone \ud800").encode() == b"lone ?"


def test_an_error_is_its_type_and_what_it_says() -> None:
    assert error_line(ValueError("too\nlong")) == "ValueError: too long"
    assert error_line(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_an_error_that_cannot_say_anything_is_named() -> None:
    assert error_line(MuteError()) == "MuteError"


def test_of_several_errors_at_once_the_first_is_the_one() -> None:
    first = ValueError("first")
    inner = BaseExceptionGroup("inner", [first, KeyboardInterrupt()])
    assert first_error(ExceptionGroup("one", [ValueError("alone")])).args == ("alone",)
    assert first_error(BaseExceptionGroup("outer", [inner, ValueError("second")])) is first
    assert first_error(first) is first
