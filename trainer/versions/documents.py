"""JSON as the service reads it: UTF-8 and nothing else, whereas Python's own reader guesses among five encodings."""

import json


def parse(content: bytes) -> object:
    """Reads a document.

    Raises:
        ValueError: It is not JSON in UTF-8, begins with a byte order mark, or is nested too deeply.
    """
    try:
        document: object = json.loads(content.decode("utf-8"))
        json.dumps(document, ensure_ascii=False).encode()  # fails for a lone surrogate, as in "\ud800"
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return document
