# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""python -m pymem_bpf: see _command.py."""
import sys

_started = list(sys.modules)


def main() -> None:
    from . import _alone
    if __name__ != "__main__":
        from ._command import main
    else:
        with _alone.importing(_started):
            from ._command import main
            # What the package would import later, when it is needed.
            from . import _estimate, code_map, counter  # noqa: F401
    main()


if __name__ == "__main__":
    main()
