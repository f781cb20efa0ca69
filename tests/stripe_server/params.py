"""A request's parameters: forms with names such as `line_items[0][price_data][currency]`."""

from typing import Any, Final
from urllib.parse import parse_qsl

from tests.stripe_server.errors import ApiError

# https://docs.stripe.com/api/metadata
METADATA_KEYS_MAX: Final = 50
METADATA_NAME_CHARACTERS_MAX: Final = 40
METADATA_VALUE_CHARACTERS_MAX: Final = 500
TEXT_CHARACTERS_MAX: Final = 5_000
# Far beyond any amount, and what fits into the file.
NUMBER_MAX: Final = 10**15


def nested(encoded: str) -> dict[str, Any]:
    """`a[b][0][c]=1` as `{"a": {"b": {"0": {"c": "1"}}}}`; of `a[]=1`, the numbers are counted."""
    values: dict[str, Any] = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        first, *rest = name.replace("]", "").split("[")
        place = values
        path = [first, *rest]
        for step in path[:-1]:
            inner = place.setdefault(step or str(len(place)), {})
            if not isinstance(inner, dict):
                raise ApiError(f"Invalid object: {name}", param=name)
            place = inner
        place[path[-1] or str(len(place))] = value
    return values


class Params:
    """What was sent; `done` refuses what nobody has asked for."""

    def __init__(self, values: dict[str, Any], name: str = "") -> None:
        self._values = values
        self._name = name
        self._asked: set[str] = set()
        self._inner: list[Params] = []

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def is_section(self, name: str) -> bool:
        return isinstance(self._values.get(name), dict)

    def text(self, name: str, characters_max: int = TEXT_CHARACTERS_MAX) -> str | None:
        value = self._value(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise ApiError("Invalid string", param=self._full(name))
        if len(value) > characters_max:
            raise ApiError(
                f"Invalid string: must be at most {characters_max} characters",
                param=self._full(name),
            )
        return value

    def required_text(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise self._is_missing(name)
        return value

    def one_of(self, name: str, *choices: str) -> str | None:
        value = self.text(name)
        if value is not None and value not in choices:
            listed = " or ".join([", ".join(choices[:-1]), choices[-1]] if choices[1:] else choices)
            raise ApiError(f"Invalid {name}: must be one of {listed}", param=self._full(name))
        return value

    def whole(self, name: str, minimum: int = 0, maximum: int = NUMBER_MAX) -> int | None:
        value = self.text(name)
        if value is None:
            return None
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()):
            raise ApiError(f"Invalid integer: {value}", param=self._full(name))
        number = int(value)
        if number < minimum:
            code = "parameter_invalid_integer"
            message = f"This value must be greater than or equal to {minimum}."
            raise ApiError(message, code=code, param=self._full(name))
        if number > maximum:
            code = "parameter_invalid_integer"
            message = f"This value must be less than or equal to {maximum}."
            raise ApiError(message, code=code, param=self._full(name))
        return number

    def flag(self, name: str) -> bool | None:
        value = self.one_of(name, "true", "false")
        return None if value is None else value == "true"

    def section(self, name: str) -> "Params":
        """The parameters below a name; empty where there are none."""
        value = self._value(name) or {}
        if not isinstance(value, dict):
            raise ApiError("Invalid object", param=self._full(name))
        inner = Params(value, self._full(name))
        self._inner.append(inner)
        return inner

    def each(self, name: str) -> list["Params"]:
        """The items of a list of objects."""
        section = self.section(name)
        return [section.section(key) for key in section._keys()]

    def texts(self, name: str) -> list[str]:
        section = self.section(name)
        return [section.required_text(key) for key in section._keys()]

    def metadata(self, name: str = "metadata") -> dict[str, str]:
        section = self.section(name)
        keys = section._keys()
        if len(keys) > METADATA_KEYS_MAX:
            raise ApiError(
                f"Metadata can have up to {METADATA_KEYS_MAX} keys", param=self._full(name)
            )
        found = {key: section.text(key, METADATA_VALUE_CHARACTERS_MAX) for key in keys}
        if any(len(key) > METADATA_NAME_CHARACTERS_MAX for key in keys):
            raise ApiError(
                "Metadata keys must be at most "
                f"{METADATA_NAME_CHARACTERS_MAX} characters, values at most "
                f"{METADATA_VALUE_CHARACTERS_MAX}",
                param=self._full(name),
            )
        return {key: value for key, value in found.items() if value is not None}

    def done(self) -> None:
        for name in self._values:
            if name not in self._asked:
                code, full = "parameter_unknown", self._full(name)
                raise ApiError(f"Received unknown parameter: {full}", code=code, param=full)
        for inner in self._inner:
            inner.done()

    def _keys(self) -> list[str]:
        return list(self._values)

    def _value(self, name: str) -> Any:
        self._asked.add(name)
        return self._values.get(name)

    def _full(self, name: str) -> str:
        return f"{self._name}[{name}]" if self._name else name

    def _is_missing(self, name: str) -> ApiError:
        full = self._full(name)
        return ApiError(f"Missing required param: {full}.", code="parameter_missing", param=full)
