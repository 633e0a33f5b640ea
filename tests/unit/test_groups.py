"""Whether tests that belong together run together."""

import pytest


@pytest.mark.xdist_group("together")
def test_a_test_of_a_group_is_known_by_its_group(request: pytest.FixtureRequest) -> None:
    """pytest-xdist tells groups by the ending of the id, which not every pytest lets it write."""
    if not hasattr(request.config, "workerinput"):
        pytest.skip("one process runs all")
    assert request.node.nodeid.endswith("@together")
