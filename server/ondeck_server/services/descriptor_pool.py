"""What reflection tells of: the files of the services that are served, as they are served."""

from collections.abc import Iterable

from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool


def one_pool(services: Iterable[ServiceDescriptor]) -> DescriptorPool:
    """Bring the files of services together in one pool; health's is not in the usual one."""
    pool, added = DescriptorPool(), set[str]()
    for service in services:
        _add(pool, service.file, added)
    return pool


def _add(pool: DescriptorPool, file: FileDescriptor, added: set[str]) -> None:
    if file.name in added:
        return
    added.add(file.name)
    for needed in file.dependencies:
        _add(pool, needed, added)
    pool.AddSerializedFile(file.serialized_pb)  # type: ignore[no-untyped-call]  # the stubs give it no types
