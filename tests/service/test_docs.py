import re
from collections.abc import Iterator

import httpx
import pytest

from service.problems import BY_STATUS
from tests.service.running import running_service

JSON = {"Content-Type": "application/json"}
ASSET = re.compile(r'(?:src|href)="([^"]*)"')


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service for all tests of this module that change nothing in it."""
    with running_service(tmp_path_factory.mktemp("store")) as client:
        yield client


def test_the_reference_needs_nothing_from_outside(client: httpx.Client) -> None:
    """The page refers to this service only, so it works with no network."""
    page = client.get("/docs")

    assert page.headers["Content-Type"].startswith("text/html")
    assert not re.findall(r"""(?:https?:)?//[^\s"']+""", " ".join(ASSET.findall(page.text)))
    assert "cdn" not in page.text.lower()


def test_what_the_reference_refers_to_is_served(client: httpx.Client) -> None:
    """Script, style, icon and the OpenAPI document are there."""
    page = client.get("/docs").text

    assets = ASSET.findall(page)
    assert len(assets) >= 3
    for asset in [*assets, "/openapi.json"]:
        response = client.get(asset)
        assert response.status_code == 200, asset
        assert response.content
    assert "/openapi.json" in page


def test_the_type_of_each_problem_leads_to_its_description(client: httpx.Client) -> None:
    """`/docs#not-found` leads to a place on the page that says what the problem is."""
    page = client.get("/docs").text

    types = {
        client.get("/nowhere").json()["type"],
        client.post("/v1/predict", content=b"{", headers=JSON).json()["type"],
    }
    assert types == {"/docs#not-found", "/docs#malformed-body"}
    for problem in BY_STATUS.values():
        assert re.search(rf'<dt id="{problem.reason}">.*?{problem.title}.*?</dt><dd>\w.+?\.</dd>', page), problem


@pytest.mark.parametrize(
    ("asset", "media_type"),
    [("swagger-ui-bundle.js", "javascript"), ("swagger-ui.css", "text/css"), ("favicon.png", "image/png")],
)
def test_assets_have_their_media_types(client: httpx.Client, asset: str, media_type: str) -> None:
    """Browsers refuse scripts and styles of another type."""
    assert media_type in client.get(f"/docs/{asset}").headers["Content-Type"]


@pytest.mark.parametrize("wanted", ["abc", "bytes=999999999-", "bytes=0-9"])
def test_a_file_is_sent_whole_whatever_part_is_asked_for(client: httpx.Client, wanted: str) -> None:
    """Ranges are ignored: an invalid one, or one beyond the end, would otherwise be an error without a problem."""
    answer = client.get("/docs/swagger-ui.css", headers={"Range": wanted})

    assert (answer.status_code, len(answer.content)) == (200, int(answer.headers["Content-Length"]))
    assert len(answer.content) > 10_000
