"""The service's settings: one frozen class, read from `DIGITS_*` environment variables.

The README's table is made from the same fields; a test compares the two.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """What an operator may choose; every field is the environment variable `DIGITS_<NAME>`."""

    model_config = SettingsConfigDict(
        env_prefix="DIGITS_",
        frozen=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
        hide_input_in_errors=True,  # the input may be a key
    )

    model_store: Path = Path("models")
    """Folder that holds `<model name>/<version>/`."""

    model_name: str = Field(default="digits", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Which model of the store to serve."""

    engine: Literal["litert", "tensorflow"] = "litert"
    """What runs the network: `litert`, a compiled program, or `tensorflow`, the SavedModel itself."""

    cache: Path = Path("~/.cache/digits/programs")
    """Folder for compiled programs; a restart that finds its program there is ready at once."""

    host: str = "127.0.0.1"
    """Address to listen on."""

    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""

    workers: NonNegativeInt = 0
    """How many processes serve; 0 means one for each core that the container may use. Only Linux can have several."""

    poll_seconds: PositiveSeconds = 2.0
    """How often the model store is polled."""

    max_batch_size: PositiveInt = Field(default=64, le=1024)
    """Largest number of rows in a batch."""

    queue_limit: PositiveInt = 20_000
    """How many rows, and pictures to be decoded, may wait in each worker; more are answered with 429."""

    request_timeout_seconds: PositiveSeconds = 10.0
    """Deadline of a request, its body included; the header X-Request-Timeout-Seconds can shorten it."""

    max_body_bytes: PositiveInt = 16 * 1024 * 1024
    """Largest request body."""

    max_image_pixels: PositiveInt = 25_000_000
    """Largest picture, width x height; judged before it is decoded."""

    max_instances: PositiveInt = 10_000
    """Largest number of rows or pictures in one request."""

    drain_seconds: Seconds = 5.0
    """How long the service keeps answering after SIGTERM, so that load balancers can turn away."""

    log_format: Literal["text", "json"] = "text"
    """How log lines are written to standard error: `text` or `json`."""

    api_keys: SecretStr | None = None
    """Keys, separated by commas; if there are any, every request below /v1/ needs one of them."""

    api_keys_file: Path | None = None
    """File with one key or comment (`#`) a line, instead of DIGITS_API_KEYS; read when a worker starts."""

    @property
    def accepted_keys(self) -> tuple[str, ...]:
        """The API keys, from wherever they were given; empty when none are needed.

        Raises:
            ValueError: They cannot be read, or there are none where there should be.
        """
        if self.api_keys_file is not None:
            try:
                return _parse_keys(_uncommented(self.api_keys_file.read_text()))
            except OSError as error:
                msg = f"cannot be read: {error.strerror}"
                raise ValueError(msg) from error
            except UnicodeDecodeError:  # its message would show some of the keys' bytes
                msg = "is not UTF-8 text"
                raise ValueError(msg) from None
        return _parse_keys(self.api_keys.get_secret_value().split(",")) if self.api_keys is not None else ()

    @field_validator("model_store", "cache", "host", mode="before")
    @classmethod
    def _is_not_empty(cls, value: object) -> object:
        """Refuse an empty text: it would mean the working directory or all addresses, which nobody asked for."""
        if isinstance(value, str) and not value.strip():
            msg = "is set, but empty; leave it unset for the default"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _keys_can_be_read(self) -> Self:
        """Refuse to start with keys that were meant to guard the service and cannot."""
        if self.api_keys is not None and self.api_keys_file is not None:
            msg = "give DIGITS_API_KEYS or DIGITS_API_KEYS_FILE, not both"
            raise ValueError(msg)
        try:
            _ = self.accepted_keys
        except ValueError as error:
            msg = f"DIGITS_API_KEYS{'_FILE' if self.api_keys_file else ''} {error}"
            raise ValueError(msg) from None
        return self

    @model_validator(mode="after")
    def _queue_holds_the_largest_request(self) -> Self:
        """A request that is larger than the queue could never be admitted."""
        if self.queue_limit < self.max_instances:
            msg = (
                f"DIGITS_QUEUE_LIMIT ({self.queue_limit}) must be at least DIGITS_MAX_INSTANCES ({self.max_instances})"
            )
            raise ValueError(msg)
        return self


def _uncommented(text: str) -> list[str]:
    """The lines of a text that are not comments."""
    return [line for line in text.split("\n") if not line.lstrip().startswith("#")]


def _parse_keys(texts: Iterable[str]) -> tuple[str, ...]:
    """Parse one key from each text, without white space around it; empty texts are skipped.

    Raises:
        ValueError: There is no key, or one that no header can carry, or one that looks like several or a comment.
    """
    keys = tuple(filter(None, map(str.strip, texts)))
    if not keys:
        msg = "names no key; leave it unset to serve without keys"
        raise ValueError(msg)
    if any("," in key or key.startswith("#") or key.split() != [key] for key in keys):
        msg = "has a key with white space, a comma or a # at its beginning; a file holds one key or comment a line"
        raise ValueError(msg)
    if not all(key.isascii() and key.isprintable() for key in keys):
        msg = "has a key with characters other than printable ASCII"
        raise ValueError(msg)
    return keys
