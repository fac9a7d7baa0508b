# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A line in a module's body, reached through the import system."""
from truth import MIB, begin, end

begin()
import leaky_module  # L:import
end({"leaky_module.py:4": {"increment": 24 * MIB, "function": "<module>"},
     "import": {"total": 24 * MIB, "tolerance": 4 * MIB}})
