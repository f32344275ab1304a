"""Redaction: what looks like a secret or a personal identifier becomes a placeholder, and is counted.

Secrets are found by detect-secrets' patterns and its entropy, telephone numbers by phonenumbers, bank
accounts, payment cards and US social security numbers by python-stdnum's check digits, addresses of
machines by the standard library. Names, streets and whatever else only a language model would notice are
not found: rows that hold such should be private. Knows nothing of rows.
"""

import importlib
import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pinnace.errors import TrainingError

EMAIL, PHONE, SECRET = "EMAIL", "PHONE", "SECRET"
IBAN, CARD, SSN, ADDRESS = "IBAN", "CARD", "SSN", "IP"
KEPT = 4_096
"""Texts whose redaction is remembered: answers recur."""
REGION = "US"
"""Whose telephone numbers are known without a country code."""
MOST_ENTROPY = 4.0
"""Bits a character from which a long word of letters and digits is taken for a key, as detect-secrets has it
for hexadecimal (3.0) and base 64 (4.5)."""

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_TOLD = re.compile(
    r"\b(?:password|passwd|passphrase|pwd|api[ _-]?key|access[ _-]?key|secret|token|pin(?: code)?)"
    r"\s*(?:is|was|=|:)\s*[\"']?(?P<told>[^\s\"',;]{4,200})",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z0-9+/=_.-]{24,512}")
_IBAN = re.compile(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{1,4}){3,8}\b")
_CARD = re.compile(r"(?<![\w.-])[3-6][0-9](?:[ -]?[0-9]){11,17}(?![\w-])")
_SSN = re.compile(r"(?<![\w-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![\w-])")
_IPV4 = re.compile(r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w.]*[0-9])")
_IPV6 = re.compile(r"(?<![\w:])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
PLACEHOLDER = re.compile("<(?:" + "|".join((EMAIL, PHONE, SECRET, IBAN, CARD, SSN, ADDRESS)) + ")>")

Span = tuple[int, int, str]
"""Where something stands, and what it is."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text without what was found in it, how often each kind was, and how many of its characters went."""

    text: str
    found: Mapping[str, int]
    hidden: int


class Redactor:
    """Takes secrets and personal identifiers out of texts: `redact(text)`.

    :raises TrainingError: when the extra `grow` is not installed.
    """

    def __init__(self) -> None:
        try:
            self._phones: Any = importlib.import_module("phonenumbers")
            self._iban: Any = importlib.import_module("stdnum.iban")
            self._luhn: Any = importlib.import_module("stdnum.luhn")
            self._ssn: Any = importlib.import_module("stdnum.us.ssn")
            plugins: Any = importlib.import_module("detect_secrets.core.plugins.util")
        except ImportError as error:
            raise TrainingError(f"growing needs pinnace[grow]: {error}") from None
        made = [kind() for kind in plugins.get_mapping_from_secret_type_to_class().values()]
        self._patterns: list[re.Pattern[str]] = [
            pattern for plugin in made if _is_of_secrets(plugin) for pattern in plugin.denylist
        ]
        self._entropy: Callable[[str], float] = next(
            plugin.calculate_shannon_entropy
            for plugin in made
            if hasattr(plugin, "calculate_shannon_entropy")
        )

        self.redact = lru_cache(KEPT)(self._redact)

    def _redact(self, text: str) -> Redacted:
        """`text` with a placeholder such as `<EMAIL>` for each thing found; where two overlap, the first."""
        spans = sorted(self._spans(text), key=lambda span: (span[0], -span[1]))
        parts: list[str] = []
        found: Counter[str] = Counter()
        end = hidden = 0
        for start, stop, kind in spans:
            if start < end:
                continue
            parts += [text[end:start], f"<{kind}>"]
            found[kind] += 1
            hidden += stop - start
            end = stop
        return Redacted("".join([*parts, text[end:]]), dict(found), hidden)

    def _spans(self, text: str) -> Iterator[Span]:
        yield from _all(_PEM, text, SECRET)
        yield from _all(_EMAIL, text, EMAIL)
        for pattern in self._patterns:
            yield from _all(pattern, text, SECRET)
        yield from self._told(text)
        for match in _WORD.finditer(text):
            if _is_mixed(match[0]) and self._entropy(match[0]) >= MOST_ENTROPY:
                yield match.start(), match.end(), SECRET
        yield from self._numbers(text)

    def _told(self, text: str) -> Iterator[Span]:
        """What somebody calls a password: a word with more than letters in it."""
        for match in _TOLD.finditer(text):
            if not match["told"].strip(".?!").isalpha():
                yield match.start("told"), match.end("told"), SECRET

    def _numbers(self, text: str) -> Iterator[Span]:
        checks: tuple[tuple[re.Pattern[str], str, Callable[[str], bool]], ...] = (
            (_IBAN, IBAN, self._iban.is_valid),
            (_CARD, CARD, lambda digits: bool(self._luhn.is_valid(re.sub("[ -]", "", digits)))),
            (_SSN, SSN, self._ssn.is_valid),
            (_IPV4, ADDRESS, _is_address),
            (_IPV6, ADDRESS, _is_address),
        )
        for pattern, kind, is_right in checks:
            yield from (each for each in _all(pattern, text, kind) if is_right(text[each[0] : each[1]]))
        for match in self._phones.PhoneNumberMatcher(text, REGION):
            yield match.start, match.end, PHONE


def is_mostly_hidden(text: str, redacted: Redacted) -> bool:
    """Whether what went was more than three quarters of a text."""
    return 4 * redacted.hidden > 3 * len(text.strip())


def _all(pattern: re.Pattern[str], text: str, kind: str) -> Iterator[Span]:
    return ((match.start(), match.end(), kind) for match in pattern.finditer(text) if match[0])


def _is_of_secrets(plugin: Any) -> bool:
    """Whether a plugin of detect-secrets knows secrets by patterns that need no context of code."""
    return hasattr(plugin, "denylist") and plugin.secret_type not in ("Public IP (ipv4)", "Secret Keyword")


def _is_mixed(word: str) -> bool:
    return any(sign.isdigit() for sign in word) and any(sign.isalpha() for sign in word)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return len(text) > 4  # "::" and the like are no machine
