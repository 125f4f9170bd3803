import pytest

from service.bodies.media_types import media_type_of


@pytest.mark.parametrize("content_type", [b"image/jpg", b"IMAGE/JPG", b"image/jpg; charset=binary"])
def test_jpeg_has_two_names(content_type: bytes) -> None:
    """Many clients send image/jpg, which is not registered."""
    assert media_type_of({b"content-type": content_type}) == "image/jpeg"
