"""GET /metrics: Prometheus text, or OpenMetrics for those who ask for it."""

from collections import Counter
from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from service.state import ServiceState, State
from service.versions.statuses import State as VersionState

router = APIRouter(tags=["metrics"])


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}, "application/openmetrics-text": {}}}},
)
async def metrics(request: Request, state: State) -> Response:
    """Show the metrics of all workers."""
    _note_condition(state)
    encode, media_type = _encoder(request.headers.get("accept", ""))
    return Response(encode(state.metrics.registry), headers={"Content-Type": media_type})


def _encoder(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    """The encoder for the requested format; the text format if the requested version is invalid."""
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):  # prometheus_client compares any text that follows `version=`
        return choose_encoder("")


def _note_condition(state: ServiceState) -> None:
    """Note this worker's readiness and versions: the others have the same, or will within a poll."""
    found = Counter(status.state for status in state.registry.statuses())
    state.metrics.note_condition(
        ready=state.why_not_ready() is None,
        versions={name.value: found[name] for name in VersionState},
        trouble=state.registry.trouble is not None,
    )
