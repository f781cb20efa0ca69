"""What is asked of the operator's API has to be what it knows: a parameter that was passed over
would show, or export, what nobody asked for.
"""

from typing import Annotated, Any, Final

from litestar.connection import ASGIConnection
from litestar.enums import RequestEncodingType
from litestar.handlers import BaseRouteHandler
from litestar.params import Body

from tigerfans.errors import InvalidRequestError

# Of a name that is not known, as many characters are told.
NAME_CHARACTERS_MAX: Final = 40

# The fields of a page's plain form.
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]


def known_parameters(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """A guard: raises `InvalidRequestError` for a parameter that is not one of those that the
    route names as its `parameters`.
    """
    known: tuple[str, ...] = handler.opt.get("parameters", ())
    for name in connection.query_params:
        if name not in known:
            there_are = f"There is only: {', '.join(known)}." if known else "This takes none."
            raise InvalidRequestError(
                f"There is no parameter {name[:NAME_CHARACTERS_MAX]!r}. {there_are}"
            )
