"""The pages and actions of a node: bundles and deployments. Only a server with a node imports this module."""

from engine.server import links
from engine.server.callers import Role
from engine.server.node_api.application import NodeApi
from engine.server.pages.bundles import BundlePages
from engine.server.pages.deployments import DeploymentPages
from engine.server.pages.routes import ActionRoute, PageRoute
from engine.server.requests import ProjectRequests
from engine.spec.secrets.redaction import Redact


def list_node_pages(
    requests: ProjectRequests, api: NodeApi, redact: Redact
) -> tuple[list[PageRoute], list[ActionRoute]]:
    """Return the pages of a node and their actions."""
    deployments, bundles = DeploymentPages(requests, api, redact), BundlePages(api)
    pages = [
        PageRoute(links.DEPLOYMENTS, deployments.list_deployments),
        PageRoute(links.DEPLOYMENT, deployments.show_deployment),
        PageRoute(links.OPERATION, deployments.show_operation),
        PageRoute(links.BUNDLES, bundles.list_bundles),
        PageRoute(links.BUNDLE, bundles.show_bundle),
        PageRoute(links.BUNDLE_DIFF, bundles.compare),
    ]
    actions = [
        ActionRoute(links.DEPLOY, deployments.deploy, Role.DEPLOYER),
        ActionRoute(links.BUNDLE_DEPLOYMENT, deployments.deploy_first, Role.DEPLOYER),
        ActionRoute(links.ROLL_BACK, deployments.roll_back, Role.DEPLOYER),
        ActionRoute(links.DISABLE, deployments.disable, Role.DEPLOYER),
        ActionRoute(links.BUNDLE_REMOVAL, bundles.remove_bundle, Role.ADMIN),
    ]
    return pages, actions
