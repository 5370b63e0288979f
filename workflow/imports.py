"""Which files a module imports, also indirectly, by reading them; nothing is run."""

from collections import defaultdict
from collections.abc import Iterable
from modulefinder import ModuleFinder
from pathlib import Path
from types import CodeType
from typing import Any


class Imports(ModuleFinder):
    """A finder that reads every file once, whoever imports it, and remembers who does.

    Args:
        path: Directories in which modules are looked for. What is not there, such as installed packages, does
            not count.
    """

    # The stubs know nothing of a module's attributes.
    modules: dict[str, Any]

    def __init__(self, path: Iterable[Path]) -> None:
        super().__init__(path=[str(directory) for directory in path])
        self._imported: defaultdict[str, set[str]] = defaultdict(set)
        self._readers: list[str] = [""]

    def files(self, modules: Iterable[str]) -> list[str]:
        """Return the files of modules and of all that they import, in order.

        Raises:
            ImportError: There is no such module.
        """
        for module in modules:
            self.import_hook(module)
        found: set[str] = set()
        # Whoever imports a module imports the packages that it is in.
        left = {name for module in modules for name in _with_packages(module)}
        while left:
            found |= left
            left = set().union(*(self._imported[name] for name in left)) - found
        files = (self.modules[name].__file__ for name in found)
        return sorted(file for file in files if file)

    def add_package(self, name: str, directory: Path) -> None:
        """Take the files of a directory for modules of a package."""
        package: Any = self.add_module(name)
        package.__path__ = [str(directory)]

    def scan_code(self, co: CodeType, m: Any) -> None:
        """Read the code of a module."""
        self._readers.append(m.__name__)
        try:
            super().scan_code(co, m)
        finally:
            self._readers.pop()

    def import_module(self, partname: str, fqname: str, parent: Any) -> Any:
        """Find one part of a name, for the module that is being read."""
        if parent is not None and fqname not in self.modules:
            self._add_namespace(partname, fqname, parent)
        module = super().import_module(partname, fqname, parent)
        if module is not None:
            self._imported[self._readers[-1]].add(fqname)
        return module

    def _add_namespace(self, partname: str, fqname: str, parent: Any) -> None:
        """Take a directory without `__init__.py` for a package; the standard library's finder does not."""
        for place in parent.__path__ or []:
            directory = Path(place) / partname
            if directory.is_dir() and not any(
                file.exists() for file in (directory / "__init__.py", directory.with_suffix(".py"))
            ):
                self.add_package(fqname, directory)

    def ensure_fromlist(self, m: Any, fromlist: Iterable[str], recursive: int = 0) -> None:
        """Find what is imported from a module, for the module that is being read."""
        super().ensure_fromlist(m, fromlist, recursive)
        # Not asked for by `import_module` if another has imported it before.
        submodules = {f"{m.__name__}.{name}" for name in fromlist}
        self._imported[self._readers[-1]] |= submodules & self.modules.keys()


def _with_packages(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
