"""Which resources and amounts the API server takes; the facts are those of Kubernetes 1.36."""

import pytest

from controllers import resource_names

COUNTED = [
    *("pods", "services", "services.nodeports", "services.loadbalancers", "secrets", "configmaps"),
    *("persistentvolumeclaims", "replicationcontrollers", "resourcequotas"),
    *("count/deployments.apps", "requests.nvidia.com/gpu", "nvidia.com/gpu"),
    "gold.storageclass.storage.k8s.io/requests.storage",
]
MEASURED = ["requests.cpu", "limits.memory", "requests.storage", "cpu", "hugepages-2Mi"]


@pytest.mark.parametrize("resource", COUNTED)
@pytest.mark.parametrize("text", ["1.5", "500m", "1n", "0.1Ki", "15e-1"])
def test_a_fraction_of_what_is_counted_is_refused(resource: str, text: str) -> None:
    refusal = resource_names.amount_refusal(resource, text)
    assert refusal is not None
    assert f"{text!r} is a fraction, and {resource} only come whole" in refusal


@pytest.mark.parametrize("resource", COUNTED)
@pytest.mark.parametrize("text", ["0", "1", "2.0", "3000m", "1Ki", "1k", "1e3", ".5Ki"])
def test_a_whole_number_of_what_is_counted_is_taken(resource: str, text: str) -> None:
    assert resource_names.amount_refusal(resource, text) is None


@pytest.mark.parametrize("resource", MEASURED)
@pytest.mark.parametrize("text", ["0", "1.5", "500m", "1n", "1Gi", "9223372036854775807", "10Pi"])
def test_any_quantity_of_what_is_measured_is_taken(resource: str, text: str) -> None:
    assert resource_names.amount_refusal(resource, text) is None


@pytest.mark.parametrize("resource", [*COUNTED, *MEASURED])
@pytest.mark.parametrize("text", ["-1", "-1n", "-1Gi", "-0.5"])
def test_a_negative_amount_is_refused(resource: str, text: str) -> None:
    assert (
        resource_names.amount_refusal(resource, text) == f"{text!r} is negative: expected 0 or more"
    )


@pytest.mark.parametrize("resource", ["pods", "requests.cpu"])
def test_what_is_no_quantity_is_refused_with_what_would_be_right(resource: str) -> None:
    refusal = resource_names.amount_refusal(resource, "1K")
    assert refusal is not None
    assert refusal.startswith("'1K' is not a quantity: expected a number")


# The server multiplies by 1000 in 64 bits to see whether a number is whole: found by comparison
# with resource.Quantity.MilliValue on 60,000 numbers, and tried on a server.
@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("9223372036854775", True),
        ("9223372036854776", False),
        ("9223372036854775807", True),
        ("9223372036854775806", True),
        ("1000000000000000001", False),
        ("10Pi", False),
        ("10P", True),
        ("10000000G", True),
        ("10000000001M", False),
        ("9E", True),
        ("1e16", True),
        ("9223372036854775k", True),
    ],
)
def test_large_counts_are_taken_exactly_when_the_server_takes_them(
    text: str,
    taken: bool,  # noqa: FBT001
) -> None:
    refusal = resource_names.amount_refusal("pods", text)
    assert (refusal is None) is taken
    assert taken or "expected at most 9223372036854775" in str(refusal)


@pytest.mark.parametrize(
    "name",
    [*COUNTED, *MEASURED, "requests.hugepages-2Mi", "limits.ephemeral-storage", "memory"],
)
def test_a_quota_knows_the_resource(name: str) -> None:
    assert resource_names.quota_name_refusal(name) is None


@pytest.mark.parametrize(
    "name",
    ["", "gpu", "storage", "limits.storage", "deployments", "a b", "a//b", "A.com/x", "a/b/c"],
)
def test_a_quota_does_not_know_the_resource(name: str) -> None:
    refusal = resource_names.quota_name_refusal(name)
    assert refusal is not None
    assert repr(name) in refusal
    assert "expected" in refusal


@pytest.mark.parametrize(
    "name",
    ["cpu", "memory", "ephemeral-storage", "hugepages-2Mi", "nvidia.com/gpu", "x.kubernetes.io/y"],
)
def test_a_container_has_the_resource(name: str) -> None:
    assert resource_names.container_name_refusal(name) is None


@pytest.mark.parametrize(
    "name",
    ["pods", "requests.cpu", "storage", "gpu", "requests.nvidia.com/gpu", "a b", "a/b/c", ""],
)
def test_a_container_does_not_have_the_resource(name: str) -> None:
    refusal = resource_names.container_name_refusal(name)
    assert refusal is not None
    assert repr(name) in refusal


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("a", True),
        ("a" * 63, True),
        ("a" * 64, False),
        ("a.b-c_D", True),
        ("", False),
        (".a", False),
        ("a-", False),
        ("a/b", False),
        ("é", False),
        ("a\n", False),
    ],
)
def test_a_label_name_is_what_the_api_server_takes(name: str, valid: bool) -> None:  # noqa: FBT001
    assert resource_names.is_name(name) is valid


@pytest.mark.parametrize(
    ("resource", "allowed"),
    [
        ("cpu", True),
        ("ephemeral-storage", True),
        ("x.kubernetes.io/y", True),
        ("hugepages-2Mi", False),
        ("nvidia.com/gpu", False),
    ],
)
def test_devices_and_huge_pages_are_not_overcommitted(
    resource: str,
    allowed: bool,  # noqa: FBT001
) -> None:
    assert resource_names.allows_overcommit(resource) is allowed
