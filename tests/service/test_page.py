import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.service.assertions import assert_problem
from tests.service.running import running_service

FOLDER = Path(__file__).parents[2] / "service/web"
FILES = sorted(path.name for path in FOLDER.iterdir())
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
REFERENCE = re.compile(r'(?:src|href)="([^"#]+)"')
IMPORT = re.compile(r'(?:from|import) "\./([^"]+)"')
# The namespace name that SVG elements are created with; it is never fetched.
SVG_NAMESPACE = "http://www.w3.org/2000/svg"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service for all tests of this module that change nothing in it."""
    with running_service(tmp_path_factory.mktemp("store")) as client:
        yield client


def directives(response: httpx.Response) -> dict[str, set[str]]:
    """The Content-Security-Policy by directive."""
    parts = [part.split() for part in response.headers["Content-Security-Policy"].split(";")]
    return {name: set(sources) for name, *sources in parts}


def test_the_start_page_is_html(client: httpx.Client) -> None:
    """The address that `make serve` prints shows the page itself, without a redirect."""
    response = client.get("/")

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.text.startswith("<!doctype html>")


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_as_it_is(client: httpx.Client, name: str) -> None:
    """Each file has the media type that browsers require, and is served byte for byte."""
    response = client.get(f"/web/{name}")

    assert response.status_code == 200
    assert response.headers["Content-Type"].partition(";")[0] == MEDIA_TYPES[Path(name).suffix]
    assert response.content == (FOLDER / name).read_bytes()


def test_what_the_page_refers_to_is_served(client: httpx.Client) -> None:
    """Following each reference and each import from the page finds every file and nothing else."""
    page = client.get("/").text
    wanted = [reference for reference in REFERENCE.findall(page) if reference.startswith("web/")]
    found: dict[str, str] = {}
    while wanted:
        address = wanted.pop()
        response = client.get(f"/{address}")
        assert response.status_code == 200, address
        found[address] = response.text
        wanted += [f"web/{name}" for name in IMPORT.findall(response.text) if f"web/{name}" not in found]

    assert {address.removeprefix("web/") for address in found} == set(FILES) - {"index.html"}


def test_links_of_the_page_lead_somewhere(client: httpx.Client) -> None:
    """Every link of the page works; one leads to the API reference."""
    links = {link for link in REFERENCE.findall(client.get("/").text) if not link.startswith("web/")}

    assert "docs" in links
    assert all(client.get(f"/{link}").status_code == 200 for link in links)


@pytest.mark.parametrize("name", FILES)
def test_nothing_comes_from_elsewhere(name: str) -> None:
    """No file names another host, so the page works with no network."""
    text = (FOLDER / name).read_text().replace(SVG_NAMESPACE, "")

    assert not re.search(r"https?:|wss?:|url\(|@import|[\"'(]//", text)


def test_nothing_is_inline() -> None:
    """The page has no inline script, style or handler that the policy would have to allow."""
    page = (FOLDER / "index.html").read_text()

    assert re.findall(r"<script\b[^>]*>", page) == ['<script type="module" src="web/page.js">']
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)


@pytest.mark.parametrize("address", ["/", "/web/page.js"])
def test_the_policy_lets_only_this_service_in(client: httpx.Client, address: str) -> None:
    """Scripts, styles and requests are limited to this service; pictures may also come from memory and from answers."""
    response = client.get(address)

    assert directives(response) == {
        "default-src": {"'none'"},
        "script-src": {"'self'"},
        "style-src": {"'self'"},
        "connect-src": {"'self'"},
        "img-src": {"'self'", "data:", "blob:"},
        "base-uri": {"'none'"},
        "form-action": {"'none'"},
        "frame-ancestors": {"'none'"},
    }
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("listed", ["{}", '"other", {}', "W/{}"])
def test_a_browser_that_has_the_file_is_told_so(client: httpx.Client, listed: str) -> None:
    """An unchanged file is not sent again, and the browser must ask for it before it shows its copy."""
    first = client.get("/web/page.css")
    again = client.get("/web/page.css", headers={"If-None-Match": listed.format(first.headers["ETag"])})

    assert first.headers["Cache-Control"] == "no-cache"
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["ETag"] == first.headers["ETag"]


def test_a_changed_file_is_sent(client: httpx.Client) -> None:
    """A request with the ETag of another file, or of an older one, gets the whole file."""
    script = client.get("/web/page.js")
    style = client.get("/web/page.css", headers={"If-None-Match": script.headers["ETag"]})

    assert style.status_code == 200
    assert style.content == (FOLDER / "page.css").read_bytes()


@pytest.mark.parametrize("name", ["unknown.js", "page", "sub/page.js"])
def test_other_names_are_a_problem(client: httpx.Client, name: str) -> None:
    """A name that is not one of the page's files is answered like any unknown path."""
    assert_problem(client.get(f"/web/{name}"), 404, "not-found")


@pytest.mark.parametrize("name", ["..%2Froutes%2Fpage.py", "%2e%2e%2fapp.py", "..%5capp.py", "page.js%00"])
def test_no_name_leads_out_of_the_folder(client: httpx.Client, name: str) -> None:
    """A name is never taken for a path."""
    assert client.get(f"/web/{name}").status_code == 404


def test_the_page_can_be_zoomed_and_says_what_happens_to_pictures() -> None:
    """Zooming is not blocked; the page says that pictures are not stored."""
    page = (FOLDER / "index.html").read_text()

    viewport = re.search(r'<meta name="viewport" content="([^"]*)">', page)
    assert viewport
    assert viewport[1] == "width=device-width, initial-scale=1"
    assert "not stored" in page
