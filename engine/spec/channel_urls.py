"""What `engine validate` checks of the URLs of channels beyond the rules: with secrets filled in, and by apprise.

Nothing is sent and no server is asked. A secret that is absent here leaves the scheme to check. Apprise is imported
only if there is a channel for it.
"""

from collections.abc import Mapping

from engine.errors import DeliveryError, Diagnostic, SpecError
from engine.formatting.hints import did_you_mean
from engine.spec.apprise_url import list_services, load_service, split_urls
from engine.spec.project import ProjectSpec
from engine.spec.resources.channels import FileChannel, MailChannel
from engine.spec.secrets import Secrets
from engine.spec.smtp_url import SmtpServer
from engine.spec.variable_references import find_references


def check_channel_urls(project: ProjectSpec, environ: Mapping[str, str]) -> list[Diagnostic]:
    """Return an error for each channel whose URL cannot be used. No message quotes a secret."""
    secrets = Secrets(project, environ)
    found = []
    for name, channel in project.channels.items():
        if isinstance(channel, FileChannel):
            continue
        try:
            url = secrets.reveal(channel.url)
        except SpecError:
            url = None
        is_mail = isinstance(channel, MailChannel)
        problem = (_find_mail_problem if is_mail else _find_apprise_problem)(channel.url if url is None else url)
        if problem is not None:
            message, help_ = problem
            at = project.value_position("channels", name, "url")
            of_secret = " (with its secret filled in)" if url is not None and find_references(channel.url) else ""
            found.append(Diagnostic(at, "url", secrets.redact(message) + of_secret, help_))
    return found


def _find_mail_problem(url: str) -> tuple[str, str | None] | None:
    if find_references(url):  # the secret is absent
        wrong = not url.startswith(("${", "smtp://", "smtps://"))
        return ("the mail URL does not start with smtp:// or smtps://", None) if wrong else None
    try:
        SmtpServer.parse(url)
    except DeliveryError as error:
        return str(error), None
    return None


def _find_apprise_problem(text: str) -> tuple[str, str | None] | None:
    for url in split_urls(text):
        scheme, mark, _ = url.partition("://")
        if "${" in scheme:  # the secret is absent
            continue
        services = list_services()
        if mark and scheme.lower() not in services:
            help_ = did_you_mean(scheme.lower(), services, "the services are")
            return f'apprise knows no service "{scheme[:30]}"', help_
        if find_references(url):
            continue
        try:
            load_service(url)
        except DeliveryError as error:
            return str(error), None
    return None
