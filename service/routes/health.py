"""GET /health and below: whether the process is up, whether a version serves, and both together."""

from datetime import UTC, datetime

from fastapi import APIRouter, Response

from service.answers import HealthAnswer, ModelVersion
from service.problems import NotReady, documented
from service.state import State

router = APIRouter(prefix="/health", tags=["health"])


@router.get("", operation_id="health", summary="Summary")
async def health(state: State) -> HealthAnswer:
    """Say how the service is; always 200, for people. Machines ask /health/live and /health/ready."""
    serving = state.registry.serving
    reason = state.why_not_ready()
    return HealthAnswer(
        status="draining" if state.drain.draining else "waiting" if reason else "ready",
        reason=reason,
        model=ModelVersion(name=serving.manifest.name, version=serving.number) if serving else None,
        loaded_at=datetime.fromtimestamp(serving.loaded_at_seconds, UTC) if serving else None,
        trouble=state.registry.trouble,
    )


@router.get("/live", operation_id="live", summary="Process is up", status_code=204)
async def live() -> Response:
    """Answer 204 for as long as the process can answer at all."""
    return Response(status_code=204)


@router.get("/ready", operation_id="ready", summary="A version serves", responses=documented(503))
async def ready(state: State) -> HealthAnswer:
    """Answer 200 while a version serves and the process is not draining, else 503 with the reason."""
    reason = state.why_not_ready()
    if reason:
        raise NotReady(reason, retry_after_seconds=1)
    return await health(state)
