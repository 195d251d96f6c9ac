"""Rules of channels and messages: their URLs and addresses, and the keys of mail."""

import re

from engine.errors import DeliveryError, Position
from engine.formatting.lists import join_words
from engine.spec.diagnostics import Findings
from engine.spec.resources.channels import (
    DatasetChannel,
    MailChannel,
    ServerChannel,
    WebhookChannel,
    list_secret_texts,
)
from engine.spec.resources.scenarios import MessageContent, Reporter
from engine.spec.rules.draft import Draft
from engine.spec.validation.validator import SpecPath
from engine.spec.variables.references import find_references

_MAIL_ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+|[^<>\r\n]*<[^@\s,;<>]+@[^@\s,;<>]+>")
DATASET_ENDINGS = (".csv", ".ndjson")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9]*://")


def check_channels(draft: Draft, findings: Findings) -> None:
    """Check that each channel has a legal URL without a password, and a fallback if its secret may be absent."""
    for name, channel in draft.spec.channels.items():
        path = ("channels", name)
        if isinstance(channel, DatasetChannel) and not channel.path.lower().endswith(DATASET_ENDINGS):
            message = "messages can only be written as rows of CSV or NDJSON"
            at = draft.value_position(*path, "path")
            findings.error(at, "format", message, f"write a path that ends in {join_words(DATASET_ENDINGS, 'or')}")
        if not isinstance(channel, ServerChannel):
            continue
        texts = list_secret_texts(channel)
        references = [reference for text in texts.values() for reference in find_references(text)]
        found = [r.parts[1] for r in references if r.parts[:1] == ("secret",) and len(r.parts) == 2]
        if not find_references(channel.url):
            _check_literal_url(draft, findings, channel, path)
        if isinstance(channel, WebhookChannel):
            _check_headers(draft, findings, channel, path)
        optional = [s for s in found if s in draft.spec.secrets and draft.spec.secrets[s].optional]
        known = all(s in draft.spec.secrets for s in found)
        if channel.fallback and known and not optional:
            where = "url or headers" if isinstance(channel, WebhookChannel) else "url"
            message = f"fallback is never used: no secret in {where} is optional"
            help_ = "add optional: true to the secret, or remove fallback"
            findings.warning(draft.key_position(*path, "fallback"), "fallback", message, help_)
        if optional and not channel.fallback:
            message = f'if the secret "{optional[0]}" is absent, this channel cannot send'
            help_ = "add fallback: {kind: file, path: outbox}, or remove optional from the secret"
            findings.warning(draft.key_position(*path), "fallback", message, help_)
        if isinstance(channel, MailChannel) and not _MAIL_ADDRESS.fullmatch(channel.from_):
            findings.error(
                draft.value_position(*path, "from"), "address", f'"{channel.from_[:60]}" is not a mail address'
            )


def _check_headers(draft: Draft, findings: Findings, channel: WebhookChannel, path: SpecPath) -> None:
    from engine.spec.urls.webhook_url import find_header_problem

    for name, value in channel.headers.items():
        at = draft.value_position(*path, "headers", name)
        if problem := find_header_problem(name, "x" if find_references(value) else value):
            findings.error(at, "header", problem)
        elif not find_references(value) and re.search("auth|token|key|secret|cookie", name, re.IGNORECASE):
            help_ = "put the value into a secret, and write ${secret.name}"
            findings.warning(at, "password", f"the header {name} contains a password", help_)


def _check_literal_url(draft: Draft, findings: Findings, channel: ServerChannel, path: SpecPath) -> None:
    at = draft.value_position(*path, "url")
    if isinstance(channel, WebhookChannel):
        from engine.spec.urls.webhook_url import find_webhook_problem

        if problem := find_webhook_problem(channel.url):
            findings.error(at, "url", problem)
        return
    if isinstance(channel, MailChannel):
        from engine.spec.urls.smtp_url import SmtpServer

        try:
            SmtpServer.parse(channel.url)
        except DeliveryError as error:
            findings.error(at, "url", str(error))
            return
    else:
        from engine.spec.urls.apprise_url import split_urls

        if not all(_SCHEME.match(url) for url in split_urls(channel.url)):
            findings.error(at, "url", "this is not an Apprise URL", "start it with the service, such as slack://")
            return
    if re.search(r"//[^/@]*:[^/@]+@", channel.url):
        help_ = "put the url into a secret, and write ${secret.name}"
        findings.warning(at, "password", "this url contains a password", help_)


def check_recipients(draft: Draft, findings: Findings) -> None:
    """Check that each mail has recipients, that they are mail addresses, and that only mail has them."""
    for path, content in draft.iterate_messages():
        channel = draft.spec.channels.get(content.channel)
        _check_addresses(draft, findings, content, path)
        if isinstance(channel, MailChannel) and not (content.to or content.cc or content.bcc):
            sender = "reporter" if isinstance(content, Reporter) else "step"
            message = f'{sender} "{content.name[:60]}" sends mail but has no recipients'
            findings.error(draft.key_position(*path), "needs-key", message, "add to: [name@example.com]")
        if isinstance(channel, DatasetChannel) and content.attach:
            message = "a channel of kind dataset sends no attachments"
            findings.warning(draft.key_position(*path, "attach"), "unknown-attachment", message, "remove it")
        if channel and not isinstance(channel, MailChannel):
            for key in ("to", "cc", "bcc", "from"):
                if draft.find_node(*path, key) is not None:
                    message = f"{key} is only for mail, but this channel is of kind {channel.kind}"
                    findings.warning(draft.key_position(*path, key), "address", message, "remove it")


def _check_addresses(draft: Draft, findings: Findings, content: MessageContent, path: SpecPath) -> None:
    """Check that each address is one mail address and is listed once."""
    seen: set[str] = set()
    for key, addresses in (("to", content.to), ("cc", content.cc), ("bcc", content.bcc)):
        for j, address in enumerate(addresses):
            at = draft.value_position(*path, key, j)
            if not _MAIL_ADDRESS.fullmatch(address):
                _report_address(findings, at, address, "write one address per entry")
            elif address in seen:
                findings.warning(at, "address", f'"{address[:60]}" is already a recipient', "remove it")
            seen.add(address)
    if content.from_ is not None and not _MAIL_ADDRESS.fullmatch(content.from_):
        at = draft.value_position(*path, "from")
        _report_address(findings, at, content.from_, "write name@example.com or Name <name@example.com>")


def _report_address(findings: Findings, at: Position, address: str, help_: str) -> None:
    shown = " ".join(address.split())[:60]
    findings.error(at, "address", f'"{shown}" is not a mail address', help_)
