"""The objects of gitea on a real API server with the CRDs of Istio and Argo CD."""

from typing import Any

import pytest

from controllers.gitea import desired
from controllers.gitea.config import GiteaSettings
from controllers.gitea.postgres.accounts import DatabaseCredentials
from controllers.manifests import to_body
from controllers.profiles import parse_profile
from controllers.runtime.apply import plan
from controllers.runtime.apply.changeset import Action
from controllers.runtime.objects import cached_object
from controllers.runtime.objects.kinds import KINDS
from tests.support.cluster import kubeflow
from tests.support.controlplane import ControlPlane

pytestmark = pytest.mark.xdist_group("gitea")

LABEL = "sourcecontrol.statcan.gc.ca/enabled"
ARGOCD_NAMESPACE = "profiles-argocd-system"


def settings(classification: str, **changes: Any) -> GiteaSettings:
    fields = {
        "classification": classification,
        "psql_hostname": "postgres.example.ca",
        "psql_admin_uname": "admin",
        "psql_admin_passwd": "a-secret",
        "argocd_source_repo_url": "https://git.example.ca/manifests.git",
        "kubeflow_root_url": "https://kubeflow.example.ca",
        **changes,
    }
    return GiteaSettings.model_validate(fields)


@pytest.mark.parametrize("automated", [False, True])
@pytest.mark.parametrize("classification", ["unclassified", "protected-b"])
def test_the_api_server_stores_every_object_unchanged(
    control_plane: ControlPlane,
    classification: str,
    automated: bool,  # noqa: FBT001
) -> None:
    kubeflow.install_gitea(control_plane)
    name = f"git-{classification}-{automated}".lower()
    (body,) = kubeflow.create_tenants(control_plane, [name], labels={LABEL: "true"})
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ARGOCD_NAMESPACE}}
    control_plane.apply(namespace)
    profile = parse_profile(body)
    facts = desired.Facts(credentials=DatabaseCredentials(user="u", password="p" * 43))
    chosen = settings(classification, argocd_automated=automated)
    component = f"gitea-{classification}"

    for manifest in desired.desired(profile, facts, chosen).objects:
        kind = KINDS[manifest.kind]
        sent = to_body(manifest, api_version=kind.api_version, profile=profile, component=component)
        control_plane.request("POST", kind.path(manifest.namespace), sent)
        path = kind.path(manifest.namespace, manifest.name)
        live = control_plane.request("GET", path)
        want = plan.desired_object(manifest, profile, component)

        assert sent.get("spec") == live.get("spec"), manifest.key
        cached = cached_object.from_body(kind, live)
        assert Action.UNCHANGED is plan.decide(want, cached).action, manifest.key


def test_an_application_without_the_empty_policy_that_argo_cd_removes_is_in_sync(
    control_plane: ControlPlane,
) -> None:
    kubeflow.install_gitea(control_plane)
    (body,) = kubeflow.create_tenants(control_plane, ["git-normal"], labels={LABEL: "true"})
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ARGOCD_NAMESPACE}}
    control_plane.apply(namespace)
    profile = parse_profile(body)
    chosen = settings("unclassified")
    manifest = desired.desired(profile, desired.Facts(), chosen).objects[0]
    kind, component = KINDS["Application"], "gitea-unclassified"
    sent = to_body(manifest, api_version=kind.api_version, profile=profile, component=component)
    del sent["spec"]["syncPolicy"]
    sent["metadata"]["finalizers"] = ["resources-finalizer.argocd.argoproj.io"]
    sent["operation"] = {"sync": {"revision": "main"}}
    live = control_plane.request("POST", kind.path(ARGOCD_NAMESPACE), sent)

    want = plan.desired_object(manifest, profile, component)
    assert Action.UNCHANGED is plan.decide(want, cached_object.from_body(kind, live)).action
