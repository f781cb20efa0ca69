"""Whom SMTP_URL names, and what is wrong with it."""

import pytest

from tigerfans.settings.settings import Settings, SettingsError
from tigerfans.settings.smtp_url import SmtpServer

FROM = {"TIGERFANS_MAIL_FROM": "tickets@example.org"}


def server_of(url: str) -> SmtpServer:
    server = Settings.from_environment({"SMTP_URL": url, **FROM}).mail.server
    assert server is not None
    return server


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.org", SmtpServer("mail.example.org", 25)),
        (
            "smtp://u:p%40%2F@mail.example.org",
            SmtpServer("mail.example.org", 587, False, "required", "u", "p@/"),
        ),
        ("smtps://u:p@m.org", SmtpServer("m.org", 465, True, "required", "u", "p")),
        ("smtps://m.org:1/", SmtpServer("m.org", 1, True)),
        ("smtp://127.0.0.1", SmtpServer("127.0.0.1", 25, start_tls="never")),
        ("smtp://u:p@[::1]:26", SmtpServer("::1", 26, False, "never", "u", "p")),
        ("smtp://localhost?starttls=required", SmtpServer("localhost", 25, start_tls="required")),
        ("smtp://relay?starttls=never", SmtpServer("relay", 25, start_tls="never")),
    ],
)
def test_a_server_is_read_with_how_it_is_reached(url: str, server: SmtpServer) -> None:
    assert server_of(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.org",
        "http://mail.example.org",
        "smtp://",
        "smtp://:25",
        "smtp://mail:99999",
        "smtp://mail:port",
        "smtp://mail/folder",
        "smtp://secret@mail",
        "smtp://user:@mail",
        "smtp://mail?starttls=perhaps",
        "smtp://mail?tls=1",
        "smtps://mail?starttls=required",
        "smtp://user:secret@mail?starttls=never",
        "smtp://user:sec/ret@mail",
        "smtp://user:sec#ret@mail",
        "smtp://[mail",
    ],
)
def test_what_names_no_server_is_one_sentence_that_repeats_nothing_of_it(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^SMTP_URL [^\n]+\.$") as raised:
        Settings.from_environment({"SMTP_URL": url, **FROM})
    assert "secret" not in str(raised.value)


def test_no_settings_show_the_password() -> None:
    settings = Settings.from_environment({"SMTP_URL": "smtp://user:secret@mail", **FROM})
    assert "secret" not in f"{settings!r} {settings.mail.server!r} {settings.mail.server}"


@pytest.mark.parametrize(
    "sender", ["nobody", "a@b c", "A <a@b.org>", "a@b\nBcc: x@y.org", "ä@b.org"]
)
def test_an_address_that_mails_cannot_be_from_is_named(sender: str) -> None:
    with pytest.raises(SettingsError, match=r"^TIGERFANS_MAIL_FROM "):
        Settings.from_environment({"TIGERFANS_MAIL_FROM": sender})


def test_a_server_needs_somebody_whom_mails_are_from() -> None:
    with pytest.raises(SettingsError, match="TIGERFANS_MAIL_FROM"):
        Settings.from_environment({"SMTP_URL": "smtp://mail"})


def test_mails_are_from_the_contact_where_nobody_else_is_named() -> None:
    contact = {"TIGERFANS_CONTACT_URL": "mailto:hello@example.org", "SMTP_URL": "smtp://mail"}
    assert Settings.from_environment(contact).mail_sender == "hello@example.org"
    assert Settings.from_environment({**contact, **FROM}).mail_sender == "tickets@example.org"
    page = {"TIGERFANS_CONTACT_URL": "https://example.org/contact"}
    assert Settings.from_environment(page).mail_sender is None
