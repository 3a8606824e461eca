"""The names of an instance's outputs."""

from __future__ import annotations

import pytest

from supervisor.core.model.output_names import instance_of, stderr_of


@pytest.mark.parametrize("instance", ["web", "web@2", "web.stderr", "stderr"])
def test_each_name_leads_back_to_its_instance(instance: str) -> None:
    assert stderr_of(instance) == f"{instance}@stderr", "pipes of earlier daemons have it"
    assert instance_of(stderr_of(instance)) == instance_of(instance) == instance
