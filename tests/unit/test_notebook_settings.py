"""The settings of notebook: what is merged, what is refused, all of it at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from controllers.notebook.config import NotebookSettings
from tests.support import builders

CLASSIFICATION = "data.statcan.gc.ca/classification"


def settings(**given: object) -> NotebookSettings:
    return NotebookSettings.model_validate(given)


def test_the_defaults_are_those_of_the_specification() -> None:
    expected = {
        "protected_b": True,
        "name": "protected-b",
        "description": "Run a Protected B notebook / Exécuter un bloc-notes protégé B",
        "selector_label": "notebook.statcan.gc.ca/protected-b",
        "labels": {CLASSIFICATION: "protected-b"},
    }
    assert expected == settings().model_dump()
    assert expected == settings(**expected).model_dump()


@pytest.mark.parametrize(
    ("given_labels", "labels"),
    [
        ({}, {CLASSIFICATION: "protected-b"}),
        ({CLASSIFICATION: "protected-c"}, {CLASSIFICATION: "protected-c"}),
        ({"level": 2}, {CLASSIFICATION: "protected-b", "level": "2"}),
        ({CLASSIFICATION: None, "level": ""}, {"level": ""}),
    ],
)
def test_labels_are_merged_over_the_default_and_null_drops_one(
    given_labels: dict[str, object], labels: dict[str, str]
) -> None:
    assert labels == settings(labels=given_labels).labels


@pytest.mark.parametrize("text", ["false", "0", "no", False])
def test_the_switch_is_parsed_as_any_boolean(text: object) -> None:
    assert not settings(protected_b=text).protected_b


def test_all_wrong_settings_of_notebook_are_named_at_once() -> None:
    said = builders.validation_errors(
        NotebookSettings,
        {
            "protected_b": "perhaps",
            "name": "Protected_B",
            "description": "  ",
            "selector_label": "a/b/c",
            "labels": {"a b": "x", CLASSIFICATION: "protected b", "level": True},
            "pod_default": "x",
        },
    )
    assert {
        "protected_b",
        "name",
        "description",
        "selector_label",
        "labels a b",
        f"labels {CLASSIFICATION}",
        "labels level",
        "pod_default",
    } == said.keys()
    assert all("expected" in text for text in said.values())


WRONG: list[tuple[dict[str, object], str]] = [
    ({"name": 5}, "5 is not text"),
    ({"name": None}, "None is not text"),
    ({"name": "a" * 254}, "is not a valid object name"),
    ({"name": "a..b"}, "is not a valid object name"),
    ({"labels": ["a"]}, "['a'] is not a table"),
    ({"labels": {CLASSIFICATION: None}}, "no label remains"),
    ({"labels": {"x": "y" * 64}}, "is not a valid label value"),
    (
        {"labels": {"notebook.statcan.gc.ca/protected-b": "false"}},
        "'notebook.statcan.gc.ca/protected-b' selects the PodDefault",
    ),
    ({"selector_label": CLASSIFICATION}, f"{CLASSIFICATION!r} selects the PodDefault"),
]


@pytest.mark.parametrize(("given_settings", "said"), WRONG)
def test_the_error_of_an_invalid_setting_states_what_is_expected(
    given_settings: dict[str, object], said: str
) -> None:
    (message,) = builders.validation_errors(NotebookSettings, given_settings).values()
    assert said in message
    assert "expected" in message


def test_the_label_of_the_selector_may_be_repeated() -> None:
    label = "notebook.statcan.gc.ca/protected-b"
    assert settings(labels={label: "true"}).labels[label] == "true"


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text())
)


@given(
    st.dictionaries(
        st.sampled_from([*NotebookSettings.model_fields, "other"]),
        st.one_of(values, st.dictionaries(st.text(), values)),
    )
)
def test_any_configuration_is_valid_or_reported(given_settings: object) -> None:
    said = refusals(given_settings)
    assert all("expected" in text for text in said)
    if not said:
        labels = NotebookSettings.model_validate(given_settings).labels
        assert labels
        assert all(isinstance(text, str) for text in labels.values())


def refusals(given_settings: object) -> list[str]:
    """What is said of each wrong value."""
    try:
        NotebookSettings.model_validate(given_settings)
    except ValidationError as refusal:
        return [error["msg"] for error in refusal.errors()]
    return []
