"""Tags in labels: unmistakable, within the platform's limit, and one for each attempt."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmamind_async.provisioning.tags import (
    LABEL_CHARACTERS,
    add_tag,
    find_tag,
    operation_token,
    remove_tag,
)

TOKEN = operation_token("journal", "sigmamind", "order-1")
LABELS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=160)


def test_a_label_that_fits_is_kept_whole() -> None:
    assert add_tag("Support", TOKEN, 1) == f"Support [sm:{TOKEN}.1]"


def test_no_label_is_the_tag_alone() -> None:
    assert add_tag("", TOKEN, 1) == f"[sm:{TOKEN}.1]"


def test_a_label_that_does_not_fit_is_cut_where_everybody_sees_it() -> None:
    label = add_tag("x" * 128, TOKEN, 12)
    assert len(label) == LABEL_CHARACTERS
    assert label.endswith(f"x\u2026 [sm:{TOKEN}.12]")


@given(LABELS, st.integers(1, 10**9 - 1))
def test_a_tag_is_found_again_behind_any_label(label: str, attempt: int) -> None:
    whole = add_tag(label, TOKEN, attempt)
    assert len(whole) <= LABEL_CHARACTERS
    assert find_tag(whole) == (TOKEN, attempt)
    kept = remove_tag(whole)
    assert kept == label or kept.endswith("\u2026")
    if len(label) + len(f" [sm:{TOKEN}.{attempt}]") <= LABEL_CHARACTERS:
        assert kept == label


@given(LABELS)
def test_a_label_of_somebody_else_carries_no_tag_of_ours(label: str) -> None:
    assert find_tag(label) is None
    assert remove_tag(label) == label


@pytest.mark.parametrize(
    "label",
    [
        None,
        "",
        "[sm:]",
        "[sm:ABC.1]",
        f"[sm:{TOKEN}.0]",
        f"[sm:{TOKEN}.01]",
        f"[sm:{TOKEN}.1] Support",
    ],
)
def test_what_only_looks_like_a_tag_is_none(label: str | None) -> None:
    assert find_tag(label) is None


@pytest.mark.parametrize("change", [str.lower, str.upper, "  {} ".format, "{}\n".format])
def test_a_platform_may_change_the_case_and_the_blanks_of_a_label(
    change: Callable[[str], str],
) -> None:
    """A number whose tag is not found may be bought again."""
    label = change(add_tag("Support", TOKEN, 2))

    assert find_tag(label) == (TOKEN, 2)
    assert remove_tag(label).strip().lower() == "support"


def test_a_token_belongs_to_one_operation_of_one_account_of_one_journal() -> None:
    tokens = {
        operation_token(journal, account, op_id)
        for journal in ("a", "b")
        for account in ("sigmamind", "verbex")
        for op_id in ("row-1", "row-2", "ro", "w-1")
    }
    assert len(tokens) == 16
    assert operation_token("a", "b", "c") == operation_token("a", "b", "c")
