"""Rules of channels and messages: their URLs and addresses, and what only mail has."""

import re

from engine.errors import DeliveryError, Position
from engine.spec.apprise_url import split_urls
from engine.spec.diagnostics import Findings
from engine.spec.resources.channels import AppriseChannel, FileChannel, MailChannel
from engine.spec.resources.scenarios import MessageContent, Reporter
from engine.spec.rules.draft import Draft
from engine.spec.smtp_url import SmtpServer
from engine.spec.validator import SpecPath
from engine.spec.variable_references import find_references

_MAIL_ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+|[^<>\r\n]*<[^@\s,;<>]+@[^@\s,;<>]+>")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9]*://")


def check_channels(draft: Draft, findings: Findings) -> None:
    """Check that each channel has a legal URL without a password, and a fallback if its secret may be absent."""
    for name, channel in draft.spec.channels.items():
        if isinstance(channel, FileChannel):
            continue
        path = ("channels", name)
        found = [r.parts[1] for r in find_references(channel.url) if r.parts[:1] == ("secret",) and len(r.parts) == 2]
        if not find_references(channel.url):
            _check_literal_url(draft, findings, channel, path)
        optional = [s for s in found if s in draft.spec.secrets and draft.spec.secrets[s].optional]
        known = all(s in draft.spec.secrets for s in found)
        if channel.fallback and known and not optional:
            message = "fallback is never used: no secret in url is optional"
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


def _check_literal_url(draft: Draft, findings: Findings, channel: MailChannel | AppriseChannel, path: SpecPath) -> None:
    at = draft.value_position(*path, "url")
    if isinstance(channel, MailChannel):
        try:
            SmtpServer.parse(channel.url)
        except DeliveryError as error:
            findings.error(at, "url", str(error))
            return
    elif not all(_SCHEME.match(url) for url in split_urls(channel.url)):
        findings.error(at, "url", "this is not an Apprise URL", "start it with the service, such as slack://")
        return
    if re.search(r"//[^/@]*:[^/@]+@", channel.url):
        help_ = "put the url into a secret, and write ${secret.name}"
        findings.warning(at, "password", "this url contains a password", help_)


def check_receivers(draft: Draft, findings: Findings) -> None:
    """Check that each mail has receivers, that they are mail addresses, and that only mail has them."""
    for path, content in draft.iterate_messages():
        channel = draft.spec.channels.get(content.channel)
        _check_addresses(draft, findings, content, path)
        if isinstance(channel, MailChannel) and not (content.to or content.cc or content.bcc):
            sender = "reporter" if isinstance(content, Reporter) else "step"
            message = f'{sender} "{content.name[:60]}" sends mail but has no receivers'
            findings.error(draft.key_position(*path), "needs-key", message, "add to: [name@example.com]")
        if channel and not isinstance(channel, MailChannel):
            for key in ("to", "cc", "bcc", "from"):
                if draft.find_node(*path, key) is not None:
                    message = f"{key} is only for mail, but this channel is of kind {channel.kind}"
                    findings.warning(draft.key_position(*path, key), "address", message, "remove it")


def _check_addresses(draft: Draft, findings: Findings, content: MessageContent, path: SpecPath) -> None:
    """Check that each address is one mail address, and that nobody would get the same message twice."""
    seen: set[str] = set()
    for key, addresses in (("to", content.to), ("cc", content.cc), ("bcc", content.bcc)):
        for j, address in enumerate(addresses):
            at = draft.value_position(*path, key, j)
            if not _MAIL_ADDRESS.fullmatch(address):
                _report_address(findings, at, address, "write one address per entry")
            elif address in seen:
                findings.warning(at, "address", f'"{address[:60]}" is a receiver already', "remove it")
            seen.add(address)
    if content.from_ is not None and not _MAIL_ADDRESS.fullmatch(content.from_):
        at = draft.value_position(*path, "from")
        _report_address(findings, at, content.from_, "write name@example.com or Name <name@example.com>")


def _report_address(findings: Findings, at: Position, address: str, help_: str) -> None:
    shown = " ".join(address.split())[:60]
    findings.error(at, "address", f'"{shown}" is not a mail address', help_)
