"""What other programs leave in a cell is told from a text that a person typed."""

from __future__ import annotations

import pytest

from sigmamind_async.rowfiles import text_problem

ERRORS = [
    *("#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NV", "#WERT!", "#BEZUG!"),
    *("#¡VALOR!", "#VALEUR!", "#N/D", "#N/DISP", "#I/T", "#VÆRDI!", "#DEĞER!", "#YOK"),
    *("#HIÁNYZIK", "Err:502", "####", "#GETTING_DATA", "#ЗНАЧ!", "#\u041d/\u0414"),
]
PLACEHOLDERS = [
    *("${TEAM}", "$TEAM", "$(TEAM)", "$env:TEAM", "{{agent}}", "{{{agent}}}", "{agent}"),
    *("{0}", "{}", "<agent>", "%TEAM%", "%(team)s", "#{team}", "[[agent]]", "__AGENT__"),
    *("@AGENT@", "«agent»", "{agent:x}", "{agent!r}", "{ agent }", "{agent[0]}", "{$agent}"),
    *("@@AGENT@@", "$AGENT$", "##AGENT##", "%agent%", "<<agent>>", "%s", "%<agent>s", "$[agent]"),
    *("[% agent %]", "\uff04{AGENT}", "\uff5b\uff5bagent\uff5d\uff5d"),
]
ENCODED = [
    "R&amp;D",
    "S&uuml;d",
    "&#64;x",
    "SÃ¼d",
    "it\u00e2\u20ac\u2122s",
    "\u00ef\u00bb\u00bfSupport",
    "Â©",
]
NUMBERS = ["1.23E+11", "1,23E+11", "1E11", "-1.5e-7"]
UNSEEN = ["a\u200bb", "\ufeffa", "a\u202eb", "a\x07", "a\u00adb", "a\u2028b", "a\u3164", "a\u2800"]
TYPED = [
    *("Support", "100%", "Team #1", "#1", "#hello!", "$5 off", "{", "a{b", "5 > 3", "x < y", "[x]"),
    *("Süd", "日本", "é😀", "O'Brien", "C#", "a@b.c", "@home", "E5", "#A/B", "a_b", "[sm:x]"),
    *(
        "R&D; more",
        "AT&T",
        "NÃO",
        "“IRMÃ”",
        "Ângela",
        "Strauß\u2019s",
        "100 %",
        "a # b",
        "_x_",
        "{a, b}",
        "{EU: west}",
        "[%]",
        "{$5}",
        "$5 [x]",
    ),
]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (ERRORS, "is an error of a spreadsheet"),
        (PLACEHOLDERS, "is a placeholder that was not filled in"),
        (ENCODED, "stands for another character"),
        (NUMBERS, "is a number in short form"),
        (UNSEEN, "an invisible character"),
        (["a\ufffdb"], "contains U+FFFD, in place of a character that was lost"),
        (["a\ud83d"], "contains half of a character"),
    ],
)
def test_damage_is_named(texts: list[str], message: str) -> None:
    assert [text for text in texts if message not in text_problem(text)] == []


def test_control_what_was_typed_is_taken() -> None:
    assert [text for text in TYPED if text_problem(text)] == []
