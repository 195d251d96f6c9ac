"""Channels of deployments on a node: which must not be used, because they would access files or services of the node.

A channel that node.yaml declares, and a URL that is a single secret of the node, come from the node's owner and are
trusted. Any other URL comes from a bundle and could name a file of the node, which a service would read and send.
"""

from urllib.parse import parse_qs, urlsplit

from engine.errors import DeliveryError, SpecError
from engine.spec import ProjectSpec
from engine.spec.resources.channels import (
    AppriseChannel,
    CommandChannel,
    DatasetChannel,
    FileChannel,
    MailChannel,
)
from engine.spec.secrets.values import Secrets
from engine.spec.variables.references import find_only_reference

FILE_PARAMETERS = frozenset({"template", "keyfile", "subfile", "pgpkey", "pgp", "pem", "key", "ca", "cert", "config"})
"""The parameters of Apprise's URLs that contain the path of a file."""

LOCAL_SERVICES = frozenset({"dbus", "gio", "glib", "gnome", "kde", "qt", "macosx", "windows", "syslog", "blink1"})
"""The services that act on this machine itself."""


def find_channel_refusal(project: ProjectSpec, name: str, secrets: Secrets) -> str:
    """Return why a channel must not be used, and what to do; empty if it may be used."""
    channel, confinement = project.channels[name], project.confinement
    if confinement is None or ("channels", name) in confinement.given:
        return ""
    if isinstance(channel, CommandChannel):
        refusal = project.find_code_refusal("channels", name)
        return f"the program {channel.argv[0]} is not started here: {refusal}" if refusal else ""
    home = project.home_of("channels", name)
    for one in (channel, getattr(channel, "fallback", None)):
        if isinstance(one, FileChannel | DatasetChannel):
            refusal = confinement.find_path_refusal(home / one.path, writes=True)
            if refusal:
                return refusal
    if not isinstance(channel, MailChannel | AppriseChannel) or _is_of_node(channel.url):
        return ""
    try:
        url = secrets.reveal(channel.url)
    except SpecError:
        return ""  # the secret is absent, which is reported when a message is sent
    if url is None:
        return ""
    if isinstance(channel, AppriseChannel):
        return _find_service_refusal(url)
    from engine.spec.urls.smtp_url import SmtpServer

    try:
        ca = SmtpServer.parse(url).ca
    except DeliveryError:
        return ""  # a wrong URL is reported when a message is sent
    return confinement.find_path_refusal(project.folder_of("channels", name) / ca) if ca else ""


def _is_of_node(url: str) -> bool:
    """Return whether a URL consists of a single secret, which only the owner of the node can set."""
    only = find_only_reference(url)
    return only is not None and only.parts[:1] == ("secret",)


def _find_service_refusal(text: str) -> str:
    from engine.spec.urls.apprise_url import split_urls

    for url in split_urls(text):
        try:
            parts = urlsplit(url)
            named = FILE_PARAMETERS & {key.lower().lstrip("+-:") for key in parse_qs(parts.query, True)}
        except ValueError:
            return "its URL cannot be read: let the owner of the node give the whole URL in a secret"
        found = f"{sorted(named)[0]}=" if named else parts.scheme if parts.scheme.lower() in LOCAL_SERVICES else ""
        if found:
            return (
                f"its URL has {found}, which leads to the node itself: let the owner of the node give the "
                "whole URL in a secret"
            )
    return ""
