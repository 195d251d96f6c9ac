"""What apprise says of a URL holds no part of it, nor the ends of one."""

import pytest

from engine.spec.urls.apprise_url import mask_url_parts


@pytest.mark.parametrize(
    ("url", "said", "masked"),
    [
        ("slak://first-line-x", "Unsupported URL: slak://f...x", "Unsupported URL: slak://***"),
        ("json://1.2.3.4:9/qwerty\nzxcvbn", "URL: json://1...4:9/qwertyzxcvbn", "URL: json://***:9/***"),
        ("slack://tokenaaa", "refused: wait...no", "refused: wait...no"),
    ],
)
def test_no_part_of_a_url_is_quoted(url: str, said: str, masked: str) -> None:
    assert mask_url_parts(said, url) == masked
