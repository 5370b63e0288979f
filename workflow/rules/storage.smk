"""What lies beside results, and which eigenpairs stay when all is measured: config may keep a part of them alone.

Consumes and produces nothing.
"""

from eigendrift.stores.checksums import checksum_path
from eigendrift.study.runs import storage_settings

STORAGE = storage_settings(config)


def whole_eigenpairs(folder):
    """Where the eigenpairs lie beside what is kept of them, until they are measured, if not all are kept."""
    if STORAGE.keys() <= {"dtype"}:
        return {}
    place = f"<results>/runs/{{run}}/{folder}whole"
    return {
        "whole": temp(directory(f"{place}/eigenpairs.zarr")),
        "whole_manifest": temp(f"{place}/eigenpairs.json"),
    }


def to_measure(pairs):
    """The eigenpairs that metrics are computed of, given the outputs of their rule: all that there are."""
    if "whole" not in pairs.keys():
        return {"eigenpairs": ancient(pairs.store)}
    return {
        "eigenpairs": ancient(pairs.whole),
        "whole_manifest": ancient(pairs.whole_manifest),
    }


def checksums_of(*tables):
    """The digests beside tables that are read again: a reader takes none that is not what was written."""
    return [str(checksum_path(Path(table))) for table in tables]


def sealed(*tables):
    """Tables and their digests."""
    return [*tables, *checksums_of(*tables)]
