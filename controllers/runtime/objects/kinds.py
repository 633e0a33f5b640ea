"""The table of kinds: where each is served, and how it is compared and written."""

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

    ``content`` lists the top-level fields of an object beside its metadata.
    ``immutable`` lists the immutable fields, by dotted path.
    ``quantities`` lists, by dotted path with ``*`` for every key or item, the values that are
    quantities, which are compared by value. ``empty_is_absent`` lists the fields for which the API
    defines that empty and absent are the same; elsewhere an empty selector is not an absent one.
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
    empty_is_absent: tuple[str, ...] = ()
    list_map_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """Of a kind with mode APPLY, by dotted path, the lists that the API merges by the keys of their
    items (``x-kubernetes-list-map-keys`` in its OpenAPI document): others may add items."""
    confidential: bool = False
    """Its content is secret: the process does not hold it in memory, only its digest."""
    field_selector: str = ""
    """The field selector of lists and watches: it excludes what no controller needs."""
    optional: bool = False
    """Served by a CRD that a cluster may lack: the controllers wait for it."""

    @property
    def api_version(self) -> str:
        """``group/version`` of the preferred version."""
        return self.served(self.versions[0])

    def served(self, version: str) -> str:
        """Return ``group/version`` of one version."""
        return f"{self.group}/{version}" if self.group else version

    def path(self, namespace: str = "", name: str = "", *, version: str = "") -> str:
        """Return the URL path of the collection, or of one object when ``name`` is given."""
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
         plural="networkpolicies", empty_is_absent=("spec.ingress", "spec.egress")),
    Kind(name="EndpointSlice", group="discovery.k8s.io", versions=("v1",),
         plural="endpointslices", content=("endpoints", "ports")),
    Kind(name="Role", group="rbac.authorization.k8s.io", versions=("v1",), plural="roles",
         content=("rules",), empty_is_absent=("rules",)),
    Kind(name="RoleBinding", group="rbac.authorization.k8s.io", versions=("v1",),
         plural="rolebindings", content=("roleRef", "subjects"), immutable=("roleRef",),
         empty_is_absent=("subjects",)),
    Kind(name="AuthorizationPolicy", group="security.istio.io", versions=("v1", "v1beta1"),
         plural="authorizationpolicies", optional=True),
    Kind(name="ConfigMap", versions=("v1",), plural="configmaps",
         content=("data", "binaryData", "immutable"), empty_is_absent=("data", "binaryData")),
    Kind(name="Secret", versions=("v1",), plural="secrets",
         content=("type", "data", "immutable"), immutable=("type",), empty_is_absent=("data",),
         confidential=True, field_selector="type!=helm.sh/release.v1"),
    Kind(name="VirtualService", group="networking.istio.io", versions=("v1", "v1beta1"),
         plural="virtualservices", optional=True),
    Kind(name="ServiceEntry", group="networking.istio.io", versions=("v1", "v1beta1"),
         plural="serviceentries", optional=True),
    # Argo CD removes an empty policy, which is the same as none.
    Kind(name="Application", group="argoproj.io", versions=("v1alpha1",), plural="applications",
         empty_is_absent=("spec.syncPolicy",), optional=True),
    Kind(name="ServiceAccount", versions=("v1",), plural="serviceaccounts", mode=Mode.APPLY,
         content=("secrets",), list_map_keys={"secrets": ("name",)}),
    Kind(name="Service", versions=("v1",), plural="services", mode=Mode.APPLY,
         list_map_keys={"spec.ports": ("port", "protocol")}),
    Kind(name="PersistentVolume", versions=("v1",), plural="persistentvolumes", namespaced=False,
         mode=Mode.APPLY, quantities=("spec.capacity.*",)),
    Kind(name="PersistentVolumeClaim", versions=("v1",), plural="persistentvolumeclaims",
         mode=Mode.APPLY, quantities=("spec.resources.*.*",)),
    Kind(name="Deployment", group="apps", versions=("v1",), plural="deployments",
         mode=Mode.APPLY, immutable=("spec.selector",), list_map_keys=_CONTAINERS),
    # Pods that have ended use no volume, and there are many of them.
    Kind(name="Pod", versions=("v1",), plural="pods", mode=Mode.APPLY, content=(),
         field_selector="status.phase!=Succeeded,status.phase!=Failed"),
    Kind(name="PodDefault", group="kubeflow.org", versions=("v1alpha1",), plural="poddefaults",
         empty_is_absent=("spec.annotations", "spec.labels"), optional=True),
)  # fmt: skip

KINDS = MappingProxyType({kind.name: kind for kind in _TABLE})
