"""GET /v1/models and below: the versions with their states, manifests, model cards and training reports."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

from fastapi import APIRouter, Response
from fastapi import Path as PathParameter

from service.answers import ModelAnswer, ModelsAnswer, VersionDetailAnswer, version_answer
from service.problems import DeadlinePassed, NotFound, documented
from service.state import PLAIN_NUMBER, ServiceState, State
from service.versions.manifest import MANIFEST_PATH, Manifest, VersionRejected, is_machine_fault, read_manifest
from service.versions.model_store import StoredVersion

Result = TypeVar("Result")

router = APIRouter(prefix="/v1/models", tags=["models"])

Name = Annotated[str, PathParameter(description="The model's name: digits.")]
Number = Annotated[int, PLAIN_NUMBER, PathParameter(ge=1, description="The version's number.")]

# A report is a file that the trainer wrote: it may contain styles and images, but may not run or fetch anything.
_REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"


_SERVING = {"name": "$response.body#/models/0/name", "number": "$response.body#/models/0/serving"}
_LINKS = {
    "get_model": {"operationId": "get_model", "parameters": {"name": _SERVING["name"]}},
    **{name: {"operationId": name, "parameters": _SERVING} for name in ("get_version", "get_report", "get_model_card")},
}


@router.get("", operation_id="list_models", summary="Models", responses={200: {"links": _LINKS}})
async def list_models(state: State) -> ModelsAnswer:
    """List the models of this service and their versions."""
    return ModelsAnswer(models=[_model(state)])


@router.get("/{name}", operation_id="get_model", summary="Model", responses=documented(404, 422))
async def get_model(state: State, name: Name) -> ModelAnswer:
    """Show one model and its versions."""
    _check_name(state, name)
    return _model(state)


@router.get(
    "/{name}/versions/{number}",
    operation_id="get_version",
    summary="Version",
    responses=documented(404, 422, 504),
)
async def get_version(state: State, name: Name, number: Number) -> VersionDetailAnswer:
    """Show one version: its state and its manifest."""
    _check_name(state, name)
    status = next((status for status in state.registry.statuses() if status.number == number), None)
    if status is None:
        raise _no_version(number)
    detail = version_answer(status).model_dump()
    return VersionDetailAnswer(**detail, manifest=await _manifest(state, number))


@router.get(
    "/{name}/versions/{number}/card",
    operation_id="get_model_card",
    summary="Model card",
    response_class=Response,
    responses={200: {"content": {"text/markdown": {}}}, **documented(404, 422, 500, 504)},
)
async def get_model_card(state: State, name: Name, number: Number) -> Response:
    """Show a version's model card: use, limits, data, metrics."""
    content = await _extra_file(state, name, number, "model_card.md")
    return Response(content, media_type="text/markdown; charset=utf-8")


@router.get(
    "/{name}/versions/{number}/report",
    operation_id="get_report",
    summary="Training report",
    response_class=Response,
    responses={200: {"content": {"text/html": {}}}, **documented(404, 422, 500, 504)},
)
async def get_report(state: State, name: Name, number: Number) -> Response:
    """Show a version's training report."""
    content = await _extra_file(state, name, number, "report.html")
    return Response(content, media_type="text/html", headers={"Content-Security-Policy": _REPORT_POLICY})


def _model(state: ServiceState) -> ModelAnswer:
    registry = state.registry
    return ModelAnswer(
        name=state.store.name,
        serving=registry.serving.number if registry.serving else None,
        trouble=registry.trouble,
        versions=[version_answer(status) for status in registry.statuses()],
    )


def _check_name(state: ServiceState, name: str) -> None:
    if name != state.store.name:
        raise NotFound(f"There is no model {name[:100]!r} here; this service has the model {state.store.name}.")


async def _manifest(state: ServiceState, number: int) -> Manifest | None:
    """The manifest of a version: as it was loaded, or as it is in the store."""
    loaded = state.registry.loaded(number)
    if loaded:
        return loaded.manifest
    stored = state.registry.stored(number)
    if stored is None:
        return None
    try:
        return await _in_time(state, (stored, MANIFEST_PATH), lambda: read_manifest(stored.folder)[0])
    except (VersionRejected, OSError):
        return None


async def _extra_file(state: ServiceState, name: str, number: int, file_name: str) -> bytes:
    _check_name(state, name)
    stored = state.registry.stored(number)
    if stored is None:
        if state.registry.loaded(number):
            raise NotFound(f"Version {number} serves from memory; its {file_name} has left the model store.")
        raise _no_version(number)
    file = Path(stored.folder, "assets.extra", file_name)
    try:
        return await _in_time(state, (stored, file_name), file.read_bytes)
    except OSError as error:
        if is_machine_fault(error):
            raise  # 500, with the reason in the log
        raise NotFound(f"Version {number} carries no {file_name}.") from None


async def _in_time(state: ServiceState, what: tuple[StoredVersion, str], read: Callable[[], Result]) -> Result:
    seconds = state.settings.request_timeout_seconds
    try:
        return await state.reads.run(what, read, seconds)
    except TimeoutError:
        raise DeadlinePassed(f"The model store did not answer within {seconds:g} seconds; try again later.") from None


def _no_version(number: int) -> NotFound:
    return NotFound(f"There is no version {number}; /v1/models lists those there are.")
