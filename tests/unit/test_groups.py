"""Whether tests that belong together run together."""

import pytest


@pytest.mark.xdist_group("together")
def test_the_id_of_a_grouped_test_ends_with_its_group(request: pytest.FixtureRequest) -> None:
    """pytest-xdist tells groups by the ending of the id, which not every pytest lets it write."""
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("one process runs all, or tests are dealt out one by one")
    assert request.node.nodeid.endswith("@together")
