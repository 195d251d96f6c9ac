"""Further checks of channel URLs in `engine validate`: with secrets filled in, and with apprise.

Nothing is sent and no server is contacted. If a secret is missing here, only the scheme is checked. Apprise is imported
only if a channel needs it.
"""

from collections.abc import Mapping

from engine.errors import DeliveryError, Diagnostic, SpecError
from engine.formatting.hints import did_you_mean
from engine.spec.observations import note_unknown
from engine.spec.project import ProjectSpec
from engine.spec.resources.channels import AppriseChannel, MailChannel, ServerChannel, list_secret_texts
from engine.spec.secrets.values import Secrets
from engine.spec.urls.smtp_url import SmtpServer
from engine.spec.urls.webhook_url import find_header_problem, find_webhook_problem
from engine.spec.variables.references import find_references


def check_channel_urls(project: ProjectSpec, environ: Mapping[str, str]) -> list[Diagnostic]:
    """Return an error for each channel whose URL cannot be used. No message quotes a secret."""
    secrets = Secrets(project, environ)
    found = []
    for name, channel in project.channels.items():
        if not isinstance(channel, ServerChannel):
            continue
        for place, text in list_secret_texts(channel).items():
            try:
                revealed = secrets.reveal(text)
            except SpecError:
                revealed = None
            problem = _find_problem(channel, place, text if revealed is None else revealed)
            if problem is not None:
                message, help_ = problem
                at = project.value_position("channels", name, *place)
                of_secret = " (with its secret filled in)" if revealed is not None and find_references(text) else ""
                code = "url" if place == ("url",) else "header"
                found.append(Diagnostic(at, code, secrets.redact(message) + of_secret, help_))
    return found


def _find_problem(channel: ServerChannel, place: tuple[str, ...], text: str) -> tuple[str, str | None] | None:
    """Return a problem with the URL or a header of a channel, and its remedy."""
    if isinstance(channel, MailChannel):
        return _find_mail_problem(text)
    if isinstance(channel, AppriseChannel):
        return _find_apprise_problem(text)
    if find_references(text):  # the secret is absent
        return None
    problem = find_webhook_problem(text) if place == ("url",) else find_header_problem(place[-1], text)
    return None if problem is None else (problem, None)


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
    from engine.spec.urls.apprise_url import list_services, load_service, split_urls

    for url in split_urls(text):
        scheme, mark, _ = url.partition("://")
        if "${" in scheme:  # the secret is absent
            continue
        services = list_services()
        # For some services, apprise also accepts their own https:// URL.
        if mark and scheme.lower() not in (*services, "https"):
            help_ = did_you_mean(scheme.lower(), services, "the services are")
            return f'Apprise has no service "{scheme[:30]}"', help_
        if find_references(url):
            continue
        note_unknown()  # a service may read anything
        try:
            load_service(url)
        except DeliveryError as error:
            return str(error), "for a server of your own, write kind: webhook" if scheme == "https" else None
    return None
