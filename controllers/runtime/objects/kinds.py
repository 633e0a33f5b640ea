"""The one table of kinds: where each is served and how it is compared and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType


class Mode(Enum):
    """How objects of a kind are compared and written (docs/architecture.md, "Writes")."""

    REPLACE = "the controller owns the whole content: compared by digest, read and replaced"
    APPLY = "others write other fields: compared on the stated fields, written by server-side apply"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of object.

    ``content`` names the top-level fields that make up an object beside its metadata.
    ``immutable`` names those of them, by dotted path, that only a new object can change.
    ``quantities`` names, by dotted path with ``*`` for every key or item, the values that are
    quantities and therefore compared by value. ``empties`` names the fields for which the API says
    that empty and absent mean the same; everywhere else an empty selector is not a missing one.
    """

    name: str
    versions: tuple[str, ...]
    plural: str
    group: str = ""
    namespaced: bool = True
    mode: Mode = Mode.REPLACE
    content: tuple[str, ...] = ("spec",)
    immutable: tuple[str, ...] = ()
    quantities: tuple[str, ...] = ()
    empties: tuple[str, ...] = ()
    keyed: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """Of a merge kind, by dotted path, the lists that the API merges by the keys of their items
    (``x-kubernetes-list-map-keys`` in its OpenAPI document): others may add items to them."""
    confidential: bool = False
    """Its content is secret: not even the latest one is kept in memory beside its digest."""
    unread: str = ""
    """A field selector that lists and watches leave out by: what no controller makes or reads."""
    optional: bool = False
    """Served by a CRD that a cluster may lack: its absence is waited for, not a failure."""

    @property
    def api_version(self) -> str:
        """``group/version`` of the preferred version."""
        return self.served(self.versions[0])

    def served(self, version: str) -> str:
        """``group/version`` of one version."""
        return f"{self.group}/{version}" if self.group else version

    def path(self, namespace: str = "", name: str = "", *, version: str = "") -> str:
        """The URL path of the collection, or of one object when ``name`` is given."""
        root = "/apis" if self.group else "/api"
        parts = [root, self.served(version or self.versions[0])]
        if namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        return "/".join(parts)


_LIMITS = ("min", "max", "default", "defaultRequest", "maxLimitRequestRatio")

_CONTAINERS = {
    "spec.template.spec.containers": ("name",),
    "spec.template.spec.containers.*.env": ("name",),
    "spec.template.spec.containers.*.ports": ("containerPort", "protocol"),
}

_TABLE = (
    Kind(name="Profile", group="kubeflow.org", versions=("v1", "v1beta1"), plural="profiles",
         namespaced=False, mode=Mode.APPLY),
    Kind(name="Namespace", versions=("v1",), plural="namespaces", namespaced=False,
         mode=Mode.APPLY, content=()),
    Kind(name="Event", versions=("v1",), plural="events", content=()),
    Kind(name="ResourceQuota", versions=("v1",), plural="resourcequotas",
         quantities=("spec.hard.*",)),
    Kind(name="LimitRange", versions=("v1",), plural="limitranges",
         quantities=tuple(f"spec.limits.*.{field}.*" for field in _LIMITS)),
    Kind(name="NetworkPolicy", group="networking.k8s.io", versions=("v1",),
         plural="networkpolicies", empties=("spec.ingress", "spec.egress")),
    Kind(name="EndpointSlice", group="discovery.k8s.io", versions=("v1",),
         plural="endpointslices", content=("endpoints", "ports")),
    Kind(name="Role", group="rbac.authorization.k8s.io", versions=("v1",), plural="roles",
         content=("rules",), empties=("rules",)),
    Kind(name="RoleBinding", group="rbac.authorization.k8s.io", versions=("v1",),
         plural="rolebindings", content=("roleRef", "subjects"), immutable=("roleRef",),
         empties=("subjects",)),
    Kind(name="AuthorizationPolicy", group="security.istio.io", versions=("v1", "v1beta1"),
         plural="authorizationpolicies", optional=True),
    Kind(name="ConfigMap", versions=("v1",), plural="configmaps",
         content=("data", "binaryData", "immutable"), empties=("data", "binaryData")),
    Kind(name="Secret", versions=("v1",), plural="secrets",
         content=("type", "data", "immutable"), immutable=("type",), empties=("data",),
         confidential=True, unread="type!=helm.sh/release.v1"),
    Kind(name="VirtualService", group="networking.istio.io", versions=("v1", "v1beta1"),
         plural="virtualservices", optional=True),
    Kind(name="ServiceEntry", group="networking.istio.io", versions=("v1", "v1beta1"),
         plural="serviceentries", optional=True),
    # Argo CD takes an empty policy away again, as it means the same as none.
    Kind(name="Application", group="argoproj.io", versions=("v1alpha1",), plural="applications",
         empties=("spec.syncPolicy",), optional=True),
    Kind(name="ServiceAccount", versions=("v1",), plural="serviceaccounts", mode=Mode.APPLY,
         content=("secrets",), keyed={"secrets": ("name",)}),
    Kind(name="Service", versions=("v1",), plural="services", mode=Mode.APPLY,
         keyed={"spec.ports": ("port", "protocol")}),
    Kind(name="PersistentVolume", versions=("v1",), plural="persistentvolumes", namespaced=False,
         mode=Mode.APPLY, quantities=("spec.capacity.*",)),
    Kind(name="PersistentVolumeClaim", versions=("v1",), plural="persistentvolumeclaims",
         mode=Mode.APPLY, quantities=("spec.resources.*.*",)),
    Kind(name="Deployment", group="apps", versions=("v1",), plural="deployments",
         mode=Mode.APPLY, immutable=("spec.selector",), keyed=_CONTAINERS),
    # Those that have ended hold nothing; mostly they are many.
    Kind(name="Pod", versions=("v1",), plural="pods", mode=Mode.APPLY, content=(),
         unread="status.phase!=Succeeded,status.phase!=Failed"),
    Kind(name="PodDefault", group="kubeflow.org", versions=("v1alpha1",), plural="poddefaults",
         empties=("spec.annotations", "spec.labels"), optional=True),
)  # fmt: skip

KINDS = MappingProxyType({kind.name: kind for kind in _TABLE})
