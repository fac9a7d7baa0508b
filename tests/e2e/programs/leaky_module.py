# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Imported by importing.py, which knows the number of the line below."""

BLOCK = bytearray(24 << 20)
