"""What only the operator gets, behind the login."""
