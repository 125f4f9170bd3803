from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings


def test_defaults_are_valid() -> None:
    """Nothing has to be set: the defaults make a service."""
    settings = Settings()

    assert settings.port == 8000
    assert settings.queue_limit >= settings.max_instances


def test_each_field_is_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting is read from `DIGITS_` and its name in capitals."""
    monkeypatch.setenv("DIGITS_MODEL_STORE", "elsewhere")
    monkeypatch.setenv("DIGITS_PORT", "9000")
    monkeypatch.setenv("DIGITS_ENGINE", "tensorflow")
    monkeypatch.setenv("DIGITS_REQUEST_TIMEOUT_SECONDS", "2.5")

    settings = Settings()

    assert settings.model_store == Path("elsewhere")
    assert settings.port == 9000
    assert settings.engine == "tensorflow"
    assert settings.request_timeout_seconds == 2.5


def test_variables_without_the_prefix_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """PORT may belong to another program."""
    monkeypatch.setenv("PORT", "9000")

    assert Settings().port == 8000


def test_settings_are_frozen() -> None:
    """A service's settings cannot change while it runs."""
    with pytest.raises(ValidationError, match="frozen"):
        setattr(Settings(), "port", 1)  # noqa: B010 - mypy knows that a plain assignment is wrong


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model_name", "../elsewhere"),
        ("model_name", ""),
        ("engine", "onnx"),
        ("port", -1),
        ("port", 65536),
        ("poll_seconds", 0),
        ("max_batch_size", 0),
        ("max_batch_size", 1025),
        ("queue_limit", 0),
        ("request_timeout_seconds", 0),
        ("max_body_bytes", 0),
        ("max_image_pixels", -5),
        ("max_instances", 0),
        ("drain_seconds", -1),
        ("log_format", "xml"),
    ],
)
def test_values_out_of_bounds_are_rejected(name: str, value: object) -> None:
    """A value that cannot work is refused at the start; the error names the setting."""
    with pytest.raises(ValidationError) as raised:
        Settings.model_validate({name: value})

    assert raised.value.errors()[0]["loc"] == (name,)


@pytest.mark.parametrize("name", ["host", "cache", "model_store"])
@pytest.mark.parametrize("value", ["", " "])
def test_what_is_set_to_nothing_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that was left unfilled would otherwise mean all addresses, or the working directory."""
    monkeypatch.setenv(f"DIGITS_{name.upper()}", value)
    with pytest.raises(ValidationError, match="is set, but empty") as raised:
        Settings()
    assert raised.value.errors()[0]["loc"] == (name,)


@pytest.mark.parametrize("name", ["poll_seconds", "request_timeout_seconds", "drain_seconds"])
@pytest.mark.parametrize("value", ["inf", "nan"])
def test_every_wait_is_finite(name: str, value: str) -> None:
    """Infinity and NaN are no durations."""
    with pytest.raises(ValidationError):
        Settings.model_validate({name: value})


def test_the_queue_holds_the_largest_request() -> None:
    """A queue smaller than one permitted request is refused with both numbers, one of the same size is not."""
    assert Settings(queue_limit=10, max_instances=10).queue_limit == 10
    with pytest.raises(ValidationError, match=r"DIGITS_QUEUE_LIMIT \(9\) must be at least DIGITS_MAX_INSTANCES \(10\)"):
        Settings(queue_limit=9, max_instances=10)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_field_is_described(name: str) -> None:
    """`--help` and the README say something about every setting, in a sentence."""
    description = Settings.model_fields[name].description

    assert description
    assert description.endswith(".")


def test_keys_come_from_the_environment_or_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are separated by commas, in a file by lines; with neither variable there are none."""
    assert Settings().accepted_keys == ()
    (tmp_path / "keys").write_text("# of the shop\none\n\n  # of the till, until June\r\n two \r\n")
    assert Settings(api_keys_file=tmp_path / "keys").accepted_keys == ("one", "two")
    monkeypatch.setenv("DIGITS_API_KEYS", "one, two")
    assert Settings().accepted_keys == ("one", "two")


@pytest.mark.parametrize("text", ["", " , ", "schlüssel", "a\x00b", "key # of the shop", "one two", "tab\tbed"])
def test_keys_that_would_not_guard_are_refused(tmp_path: Path, text: str) -> None:
    """Keys that are set but empty, or that no header can carry, stop the start; the error does not show them."""
    (tmp_path / "keys").write_text(text)
    for settings in ({"api_keys": text}, {"api_keys_file": tmp_path / "keys"}):
        with pytest.raises(ValidationError, match="DIGITS_API_KEYS") as raised:
            Settings.model_validate(settings)
        assert not text.strip(" ,") or text not in str(raised.value)


def test_a_file_of_comments_names_no_key(tmp_path: Path) -> None:
    """No word of a comment is a key, and two keys on a line are not taken for one."""
    for text, problem in (("# keys: none yet\n", "names no key"), ("one,two\n", "one key or comment a line")):
        (tmp_path / "keys").write_text(text)
        with pytest.raises(ValidationError, match=problem):
            Settings(api_keys_file=tmp_path / "keys")


def test_a_comment_in_the_environment_is_no_key() -> None:
    """Only a file has comments."""
    with pytest.raises(ValidationError, match="a # at its beginning"):
        Settings.model_validate({"api_keys": "#production"})


def test_keys_are_given_once(tmp_path: Path) -> None:
    """Keys in both places, or in a file that is not there, stop the start."""
    with pytest.raises(ValidationError, match="not both"):
        Settings.model_validate({"api_keys": "k", "api_keys_file": tmp_path})
    with pytest.raises(ValidationError, match="cannot be read"):
        Settings.model_validate({"api_keys_file": tmp_path / "none"})


def test_a_file_that_is_no_text_shows_none_of_it(tmp_path: Path) -> None:
    """The error at the start says which file is wrong, without showing a byte of a key."""
    (tmp_path / "keys").write_bytes(b"key-\xff")
    with pytest.raises(ValidationError, match="DIGITS_API_KEYS_FILE is not UTF-8 text") as raised:
        Settings.model_validate({"api_keys_file": tmp_path / "keys"})
    assert "xff" not in str(raised.value)


def test_keys_are_not_shown() -> None:
    """Neither the settings' text nor what `check` prints has a key in it."""
    settings = Settings.model_validate({"api_keys": "secret-key"})
    assert "secret-key" not in f"{settings} {settings!r} {settings.model_dump()}"
