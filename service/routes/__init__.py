"""One module per resource; what a route needs comes with the request, see `service.state`."""
