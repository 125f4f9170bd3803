"""GET /metrics: Prometheus text, or OpenMetrics for those who ask for it."""

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder

from service.state import State

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
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(state.metrics.registry), headers={"Content-Type": media_type})
