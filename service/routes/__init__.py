"""One module a resource; what they need comes with the request, see `service.state`."""
