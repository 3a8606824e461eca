#!/usr/bin/env bash
# A module that importlib.util.LazyLoader put into sys.modules is loaded by the next import statement that names it.
#
# One would expect that it is loaded when an attribute of it is first used, as the documentation of LazyLoader says, and
# that `import NAME` in another module only binds the name.  But an import statement looks at `__spec__` of what it finds
# in sys.modules, and that is an attribute, too.  So a module cannot be made lazy for the libraries that import it: only
# code that uses the object from the recipe `lazy_import` of the documentation gains something.
#
# Seen 2026-11-30 with CPython 3.10.13, 3.11.7, 3.12.1 and 3.13.0: "lazy, then loaded by the import alone".
# It matters for whoever wants `dataclasses` without the 1.2 MiB of `inspect`, which it hardly uses in Python 3.11.
set -euo pipefail
seen=$(python3 - <<'PYTHON'
import importlib.util
import sys

spec = importlib.util.find_spec("wave")
spec.loader = importlib.util.LazyLoader(spec.loader)
module = importlib.util.module_from_spec(spec)
sys.modules["wave"] = module
spec.loader.exec_module(module)
lazy = type(module).__name__ == "_LazyModule"  # type() asks for no attribute
import wave  # what a library would do

print("lazy, then loaded by the import alone" if lazy and type(wave).__name__ == "module" else "still lazy")
PYTHON
)
echo "CPython $(python3 -c 'import platform; print(platform.python_version())'): $seen"
[ "$seen" = "lazy, then loaded by the import alone" ] || { echo "changed" >&2; exit 1; }
