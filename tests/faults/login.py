"""How people log in to the box office, and devices at the door: as the owner of the settings."""

from base64 import b64encode

from tests.faults.plan import SECRETS

_LOGIN = b64encode(f"admin:{SECRETS['ADMIN_PASSWORD']}".encode()).decode()
HEADERS = {"authorization": f"Basic {_LOGIN}", "content-type": "application/json"}
