"""What the tests of this room share."""

from tests.doubles.zookeeper_fixture import ensemble

__all__ = ["ensemble"]
