"""Resources and amounts that the API server accepts, by the rules of Kubernetes 1.36."""

import pytest

from controllers import resource_names

INTEGER_RESOURCES = [
    *("pods", "services", "services.nodeports", "services.loadbalancers", "secrets", "configmaps"),
    *("persistentvolumeclaims", "replicationcontrollers", "resourcequotas"),
    *("count/deployments.apps", "requests.nvidia.com/gpu", "nvidia.com/gpu"),
    "gold.storageclass.storage.k8s.io/requests.storage",
]
OTHER_RESOURCES = ["requests.cpu", "limits.memory", "requests.storage", "cpu", "hugepages-2Mi"]


@pytest.mark.parametrize("resource", INTEGER_RESOURCES)
@pytest.mark.parametrize("text", ["1.5", "500m", "1n", "0.1Ki", "15e-1"])
def test_a_fraction_of_an_integer_resource_is_invalid(resource: str, text: str) -> None:
    error = resource_names.amount_error(resource, text)
    assert error is not None
    assert f"{text!r} is not an integer, as {resource} requires" in error


@pytest.mark.parametrize("resource", INTEGER_RESOURCES)
@pytest.mark.parametrize("text", ["0", "1", "2.0", "3000m", "1Ki", "1k", "1e3", ".5Ki"])
def test_an_integer_amount_of_an_integer_resource_is_valid(resource: str, text: str) -> None:
    assert resource_names.amount_error(resource, text) is None


@pytest.mark.parametrize("resource", OTHER_RESOURCES)
@pytest.mark.parametrize("text", ["0", "1.5", "500m", "1n", "1Gi", "9223372036854775807", "10Pi"])
def test_any_quantity_of_another_resource_is_valid(resource: str, text: str) -> None:
    assert resource_names.amount_error(resource, text) is None


@pytest.mark.parametrize("resource", [*INTEGER_RESOURCES, *OTHER_RESOURCES])
@pytest.mark.parametrize("text", ["-1", "-1n", "-1Gi", "-0.5"])
def test_a_negative_amount_is_invalid(resource: str, text: str) -> None:
    assert (
        resource_names.amount_error(resource, text) == f"{text!r} is negative; expected 0 or more"
    )


@pytest.mark.parametrize("resource", ["pods", "requests.cpu"])
def test_the_error_of_a_text_that_is_not_a_quantity_states_what_is_expected(resource: str) -> None:
    error = resource_names.amount_error(resource, "1K")
    assert error is not None
    assert error.startswith("'1K' is not a quantity; expected a number")


# The API server multiplies by 1000 in 64 bits to check for an integer. The values result from a
# comparison with resource.Quantity.MilliValue on 60,000 numbers, and were verified on a server.
@pytest.mark.parametrize(
    ("text", "accepted"),
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
def test_a_large_count_is_valid_if_and_only_if_the_server_accepts_it(
    text: str,
    accepted: bool,  # noqa: FBT001
) -> None:
    error = resource_names.amount_error("pods", text)
    assert (error is None) is accepted
    assert accepted or "expected at most 9223372036854775" in str(error)


@pytest.mark.parametrize(
    "name",
    [
        *INTEGER_RESOURCES,
        *OTHER_RESOURCES,
        "requests.hugepages-2Mi",
        "limits.ephemeral-storage",
        "memory",
    ],
)
def test_a_resource_of_a_resource_quota_is_valid(name: str) -> None:
    assert resource_names.quota_name_error(name) is None


@pytest.mark.parametrize(
    "name",
    ["", "gpu", "storage", "limits.storage", "deployments", "a b", "a//b", "A.com/x", "a/b/c"],
)
def test_another_resource_in_a_resource_quota_is_invalid(name: str) -> None:
    error = resource_names.quota_name_error(name)
    assert error is not None
    assert repr(name) in error
    assert "expected" in error


@pytest.mark.parametrize(
    "name",
    ["cpu", "memory", "ephemeral-storage", "hugepages-2Mi", "nvidia.com/gpu", "x.kubernetes.io/y"],
)
def test_a_resource_of_containers_is_valid(name: str) -> None:
    assert resource_names.container_name_error(name) is None


@pytest.mark.parametrize(
    "name",
    ["pods", "requests.cpu", "storage", "gpu", "requests.nvidia.com/gpu", "a b", "a/b/c", ""],
)
def test_another_resource_of_containers_is_invalid(name: str) -> None:
    error = resource_names.container_name_error(name)
    assert error is not None
    assert repr(name) in error


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
def test_a_label_name_is_valid_if_and_only_if_the_api_server_accepts_it(
    name: str,
    valid: bool,  # noqa: FBT001
) -> None:
    assert resource_names.is_name_part(name) is valid


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
def test_devices_and_huge_pages_cannot_be_overcommitted(
    resource: str,
    allowed: bool,  # noqa: FBT001
) -> None:
    assert resource_names.allows_overcommit(resource) is allowed
