"""Errors as Stripe answers them; the library makes its exceptions of them.

The words are those that shops have reported, since some read them.
"""

from typing import Any, Final

INVALID_REQUEST: Final = "invalid_request_error"
IDEMPOTENCY: Final = "idempotency_error"
API: Final = "api_error"


class ApiError(Exception):
    """What a request is answered with instead of an object.

    With `is_saved` it is what the request came to, and its idempotency key answers it again; what
    fails before that, a parameter that cannot be read, or a limit, leaves no trace.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = INVALID_REQUEST,
        code: str | None = None,
        param: str | None = None,
        is_saved: bool = False,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.is_saved = is_saved
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        fields = {"message": self.message, "type": self.kind, "code": self.code}
        return {"error": {k: v for k, v in (fields | {"param": self.param}).items() if v}}


def missing(what: str, identifier: str, param: str = "id") -> ApiError:
    """There is no such object, or it is one of the other mode."""
    message = f"No such {what}: '{identifier}'"
    return ApiError(message, status=404, code="resource_missing", param=param)


def refused(message: str, code: str | None = None, param: str | None = None) -> ApiError:
    """The object is not in a state for this, which is an answer like any other."""
    return ApiError(message, code=code, param=param, is_saved=True)
