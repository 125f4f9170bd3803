"""The media types of request bodies: which are accepted, and how large a body may be; `reader` reads the bodies."""

from collections.abc import Mapping, Sequence

from python_multipart.multipart import parse_options_header

from service.imaging.picture_files import MEDIA_TYPES as PICTURES
from service.problems import TooLarge, UnsupportedMediaType

RawHeaders = Mapping[bytes, bytes]
"""A request's headers by name, in lower case."""

JSON = "application/json"
BYTES = "application/octet-stream"
FORM = "multipart/form-data"
KNOWN = (JSON, BYTES, FORM, *PICTURES)

# Headers without parameters, as most clients send them, are looked up instead of parsed.
_PLAIN = {media_type.encode(): media_type for media_type in KNOWN}
_ALIASES = {"image/jpg": "image/jpeg"}  # there is no such type, but many clients send it
# A boundary has up to 70 characters. Parsing 60 kB of semicolons between quotes takes a tenth of a second.
_MOST_TYPE_BYTES = 1024
# What to do about a body that is too large; any other kind is one picture.
_LESS = {
    JSON: f"send fewer images at once, or send them as {BYTES}, 784 bytes each",
    BYTES: "send fewer images at once",
    FORM: "make the pictures smaller, or send fewer at once",
}
# The only codings allowed. The HTTP parser decodes chunks, and ignores any transfer coding named before `chunked`.
_AS_IT_IS = ((b"content-encoding", b"identity"), (b"transfer-encoding", b"chunked"))


def media_type_of(headers: RawHeaders, taken: Sequence[str] = KNOWN) -> str:
    """The body's media type.

    Raises:
        UnsupportedMediaType: It is not one of `taken`, or the body is compressed.
    """
    content_type = headers.get(b"content-type", b"")
    if len(content_type) > _MOST_TYPE_BYTES:
        detail = f"Content-Type has {len(content_type)} bytes, more than {_MOST_TYPE_BYTES}; send the type alone."
        raise UnsupportedMediaType(detail)
    media_type = _PLAIN.get(content_type) or parse_options_header(content_type)[0].decode("latin-1")
    media_type = _ALIASES.get(media_type, media_type)
    if media_type not in taken:
        sent = f"Content-Type {media_type[:100]!r} is not read here" if media_type else "Content-Type is missing"
        raise UnsupportedMediaType(f"{sent}; send one of {', '.join(taken)}.")
    for name, plain in _AS_IT_IS:
        coding = headers.get(name, plain).lower()
        if coding != plain:
            shown, header = coding[:40].decode("latin-1"), name.decode().title()
            raise UnsupportedMediaType(f"{header} {shown!r} is not read here; send the body as it is.")
    return media_type


def check_size(size: int, most: int, media_type: str) -> None:
    """Raise `TooLarge` if a body has, or announces, more bytes than it may; the advice depends on its media type."""
    if size > most:
        raise TooLarge(f"The body may have at most {most} bytes; {_LESS.get(media_type, 'make the picture smaller')}.")
