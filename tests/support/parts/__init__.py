"""Parts: programs and files of other projects that the tests, the demo and the bench need.

A part is installed once into a cache that all checkouts of a machine share.
"""

from tests.support.parts.cache import Part, PartMissingError, report

__all__ = ["Part", "PartMissingError", "report"]
