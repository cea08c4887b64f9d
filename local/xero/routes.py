"""Routes as methods: a class holds the world, and each of its methods says which address it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Blueprint, Response

View = TypeVar("View", bound=Callable[..., Any])


def route(method: str, path: str) -> Callable[[View], View]:
    """Mark a method as the answer to `method path`. One method may answer several addresses."""

    def marked(view: View) -> View:
        view.__dict__.setdefault("routes", []).append((method, path))
        return view

    return marked


def mount(blueprint: Blueprint, *sites: object) -> Blueprint:
    """Add to the blueprint every route that the sites' methods are marked with."""
    for site in sites:
        for name, view in vars(type(site)).items():
            for method, path in getattr(view, "routes", ()):
                blueprint.add_url_rule(path, name, getattr(site, name), methods=[method])
    return blueprint


def refuse_framing(response: Response) -> Response:
    """A page of Xero's that no other site may show in a frame, and no browser keeps."""
    response.headers["Content-Security-Policy"] = "frame-ancestors 'none'"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Cache-Control"] = "no-store"
    return response
