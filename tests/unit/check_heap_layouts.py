#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Hold the layouts of heaps against live interpreters.

  tests/unit/check_heap_layouts.py [ROOT:]PYTHON...

tests/unit/data/heap_target.py runs on each interpreter (inside the chroot ROOT, if given) and
says where its objects are and what is in them. From outside, through /proc/PID/mem only, the same is
read with the struct py_heap_layout that user/python/py_heap_layouts.c chooses, and compared. Every
field that a version has must have been used in a comparison. An interpreter that has no layout must
be one of those that are refused. Needs root or ptrace rights, cc and readelf. Exit status 1 if any
interpreter differs.
"""

import ctypes
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

import check_layouts
from heap_reader import debug_hooks, layout_struct, load_library, same, Heap

PROJECT, NONE = check_layouts.PROJECT, check_layouts.NONE
PROGRAM = os.path.join(PROJECT, "tests/unit/data/heap_target.py")
ENOTSUP = -95
REFUSED = ((3, 6), (3, 7))
# Of these the truth is not to be had from inside 3.14.5 and later, where they have no use.
UNUSED = {"gc_visited_space"}
DEBUG_BEFORE, DEBUG_AFTER = debug_hooks()
VALID_VERSION_TAG = 1 << 19  # of tp_flags: comes and goes
GIL_TAG, INT_BITS, REFERENCE_BITS = 0x7, 30, 3


def check_types(heap, facts):
    for cls in facts["types"]:
        at = cls["at"]
        same("tp_name", heap.c_string(heap.word(at + heap.type_name)), cls["name"])
        for field, key in (("basicsize", "basicsize"), ("itemsize", "itemsize"), ("flags", "flags"),
                           ("base", "base"), ("dictoffset", "dictoffset")):
            word, changing = heap.word(at + getattr(heap, "type_" + field), "<q"), 0
            if field == "flags":
                changing = VALID_VERSION_TAG
            same(f"tp_{field} of {cls['name']}", word & ~changing, cls[key] & ~changing)
        same("tp_weaklistoffset", heap.word(at + heap.type_weaklistoffset, "<q"), cls["weakrefoffset"])
        same("tp_dealloc is code", heap.target.is_code(heap.word(at + heap.type_dealloc)), True)
    base, kind = facts["root_types"]
    same("ob_type of object", heap.word(base + heap.object_type), kind)
    same("basicsize of object", heap.word(base + heap.type_basicsize), heap.object_head)
    made = facts["heap_type"]
    for field in ("name", "qualname"):
        same("ht_" + field, heap.word(made["at"] + getattr(heap, "heap_type_" + field)), made[field])
    same("tp_dict", heap.word(made["at"] + heap.type_dict), made["dict"])
    # The number methods of a heap type stand behind its PyTypeObject.
    same("as_async", heap.type_size + made["at"] in heap.words(made["at"], heap.type_size // 8), True)
    if heap.layout.heap_type_module != NONE:
        found = [cls for cls, module in facts["modules_of_types"]
                 if heap.word(cls + heap.heap_type_module) == module]
        same("types that know their module", bool(found), True)


def check_slots(heap, facts):
    slots = facts["slots"]
    members = heap.word(slots["type"] + heap.type_members)
    for number, name in enumerate(("one", "other")):
        member = members + number * heap.member_size
        same("a member's name", heap.c_string(heap.word(member + heap.member_name)), name)
        same("a slot", heap.word(slots["at"] + heap.word(member + heap.member_offset)), slots[name])
    cached = facts["cached_utf8"]
    same("utf8 of a str", heap.word(cached["text"] + heap.unicode_utf8),
         heap.word(cached["type"] + heap.type_name))
    same("utf8_length", heap.word(cached["text"] + heap.unicode_utf8_length), cached["bytes"])


def inside_pool(heap, block):
    """(pool, size of its blocks); fails if `block` is not the start of one."""
    pool = block - block % heap.pool_size
    size = 16 * (heap.word(pool + heap.pool_szidx, "<I") + 1)
    same("a block's place in its pool", (block - pool - heap.pool_overhead) % size, 0)
    return pool, size


def check_instances(heap, facts):
    values, managed = facts["values"], facts["managed"]
    keys, _, _ = heap.keys(heap.word(values["type"] + heap.heap_type_cached_keys))
    same("names of attributes", [heap.target.text(key) for key, _ in keys], values["names"])
    guard = DEBUG_BEFORE if heap.has("DEBUG_BUILD") else 0
    if heap.pre_flags:
        flags = heap.word(values["type"] + heap.type_flags)
        same("flags of a preheader", bool(flags & heap.pre_flags), True)
        inside_pool(heap, values["at"] - heap.gc_head - heap.pre_bytes - guard)
        same("managed dict", heap.word(managed["at"] - heap.pre_dict_back), managed["dict"])
        same("values", heap.words(values_of(heap, values), 2), values["items"])
    else:
        same("pre_bytes", heap.pre_bytes, 0)
        inside_pool(heap, values["at"] - heap.gc_head - guard)
        offset = heap.word(values["type"] + heap.type_dictoffset)
        same("dict", heap.word(managed["at"] + offset), managed["dict"])
    if heap.layout.pre_weakrefs_back != NONE:
        same("weakrefs", heap.word(managed["at"] - heap.pre_weakrefs_back), managed["weakref"])
    same("a split dict has values", heap.word(facts["split"]["at"] + heap.dict_values) != 0, True)
    same("a split dict", heap.dict_entries(facts["split"]["at"]), facts["split"]["entries"])
    weakref = facts["weakref"]
    same("wr_callback", heap.word(weakref["at"] + heap.weakref_callback), weakref["callback"])


def values_of(heap, instance):
    """Where the first value of an instance lies that has no dict."""
    if heap.has("VALUES_INLINE"):
        start = instance["at"] + heap.word(instance["type"] + heap.type_basicsize)
        same("values are valid", heap.word(start + heap.inline_valid, "<B"), 1)
        return start + heap.values_first
    start = heap.word(instance["at"] - heap.pre_values_back)
    if heap.has("VALUES_TAGGED"):
        same("tag of values", start & 1, 1)
        start += 1
    return start + heap.values_first


def check_containers(heap, facts):
    for known in facts["dicts"]:
        same("a dict", heap.dict_entries(known["at"]), known["entries"])
        keys = heap.word(known["at"] + heap.dict_keys)
        rows, slots, general = heap.keys(keys)
        same("usable and used keys", heap.word(keys + heap.keys_usable) + len(rows), slots * 2 // 3)
        same("slots of a dict", slots, known["size"])
        same("deleted entries", len(rows) - len(known["entries"]), known["dead"])
        same("kind of keys", general, known["general"] or heap.has("OLD_KEYS"))
    at, items = facts["list"]["at"], facts["list"]["items"]
    same("a list", heap.words(heap.word(at + heap.list_items), heap.word(at + heap.object_size)), items)
    same("a tuple", heap.tuple_items_of(facts["tuple"]["at"]), items)
    for known in facts["sets"]:
        at = known["at"]
        table, mask = heap.word(at + heap.set_table), heap.word(at + heap.set_mask)
        same("a small set's table", table == at + heap.set_small_table, known["small"])
        keys = [key for key in heap.words(table + heap.set_entry_key, mask + 1, heap.set_entry_size) if key]
        same("a set", sorted(keys), known["items"])
        same("set.used", heap.word(at + heap.set_used), len(keys))
    known = facts["bytearray"]
    start = heap.word(known["at"] + heap.bytearray_bytes)
    same("a bytearray", heap.target.read(start, len(known["text"])).decode(), known["text"])
    if known["bytes"]:
        owner = heap.word(known["at"] + heap.bytearray_object)
        same("ob_bytes_object", owner, start - heap.target.layout.bytes_data)
    same("ob_alloc", heap.word(known["at"] + heap.bytearray_alloc), known["alloc"])
    same("a deque", deque_items(heap, facts["deque"]["at"]), facts["deque"]["items"])


def deque_items(heap, at):
    block, left = heap.word(at + heap.deque_left_block), heap.word(at + heap.deque_left_index)
    last, right = heap.word(at + heap.deque_right_block), heap.word(at + heap.deque_right_index)
    items = []
    while block:
        end = right + 1 if block == last else heap.deque_block_length
        items += heap.words(block + heap.deque_block_items + 8 * left, end - left)
        block, left = 0 if block == last else heap.word(block + heap.deque_block_right), 0
    return items


def integer(heap, address):
    tag = heap.word(address + heap.long_tag, "<q")
    count, negative = abs(tag), tag < 0
    if heap.has("LONG_TAG"):
        count, negative = tag >> REFERENCE_BITS, tag & 3 == 2
    digits = [heap.word(address + heap.long_digits + 4 * i, "<I") for i in range(count)]
    value = sum(digit << INT_BITS * i for i, digit in enumerate(digits))
    return -value if negative else value


def check_leaves(heap, facts):
    for address, text in facts["ints"]:
        same("an int", integer(heap, address), int(text))
    known = facts["text"]
    data = heap.target.read(heap.word(known["at"] + heap.unicode_data), len(known["latin1"]))
    same("a str's data", data.decode("latin-1"), known["latin1"])


def check_functions(heap, facts):
    for name in ("inner", "outer"):
        at = facts[name].pop("at")
        for field, value in facts[name].items():
            same("func_" + field, heap.word(at + getattr(heap, "function_" + field)), value)
    same("cell", heap.word(facts["cell"]["at"] + heap.cell_content), facts["cell"]["content"])
    method, module = facts["method"], facts["module"]
    same("im_func", heap.word(method["at"] + heap.method_function), method["function"])
    same("im_self", heap.word(method["at"] + heap.method_self), method["self"])
    same("md_dict", heap.word(module["at"] + heap.module_dict), module["dict"])
    same("md_name", heap.target.text(heap.word(module["at"] + heap.module_name)), module["name"])


def local_names(heap, code):
    """Names of a code object's locals, cells and free variables, in order of localsplus."""
    if heap.has("FRAME_OBJECTS"):
        tuples = [heap.word(code + at) for at in (heap.code_varnames, heap.code_cellvars, heap.code_freevars)]
    else:
        tuples = [heap.word(code + heap.code_localsplusnames)]
    names = [heap.target.text(name) for pointer in tuples for name in heap.tuple_items_of(pointer)]
    if not heap.has("FRAME_OBJECTS"):
        same("co_nlocalsplus", heap.word(code + heap.code_nlocalsplus, "<i"), len(names))
    return names


def reference(heap, word):
    return word & ~GIL_TAG if heap.has("LOCALS_TAGGED") else word


def find_frame(heap, code):
    """(frame, its thread state) of the function with that code."""
    target, layout = heap.target, heap.target.layout
    interp = heap.word(target.root + heap.runtime_interp_head)
    for tstate in target.chain(heap.word(interp + layout.interp_thread_head), layout.tstate_next):
        frame = heap.word(tstate + layout.tstate_frame)
        if target.has("PY_TSTATE_CFRAME"):
            frame = heap.word(frame + layout.cframe_frame)
        for found in target.chain(frame, layout.frame_back):
            if reference(heap, heap.word(found + layout.frame_code)) == code:
                return found, tstate
    raise ValueError("the waiting function has no frame")


def check_frame(heap, facts):
    known = facts["frame"]
    code = known["code"]
    frame, tstate = find_frame(heap, code)
    if heap.has("FRAME_OBJECTS"):
        same("frame object", frame, known["at"])
    else:
        same("f_frame", heap.word(known["at"] + heap.frame_object_frame), frame)
        check_chunks(heap, tstate, frame)
    names = local_names(heap, code)
    same("co_nlocals", heap.word(code + heap.code_nlocals, "<i"), known["nlocals"])
    same("co_stacksize", heap.word(code + heap.code_stacksize, "<i"), known["stacksize"])
    same("co_names", [heap.target.text(name) for name in heap.tuple_items_of(heap.word(code + heap.code_names))],
         known["names"])
    slots = heap.words(frame + heap.frame_localsplus, len(names))
    values = {name: reference(heap, word) for name, word in zip(names, slots)}
    for name, value in {**known["locals"], "free": known["cell"]}.items():
        same(f"local variable {name}", values[name], value)
    same("f_globals", heap.word(frame + heap.frame_globals), known["globals"])
    outermost = heap.target.chain(frame, heap.target.layout.frame_back)
    found = [heap.word(at + heap.frame_locals) for at in outermost
             if heap.word(at + heap.frame_globals) == known["globals"]]
    same("f_locals of the module", known["globals"] in found, True)
    if heap.has("FRAME_OBJECTS"):
        same("f_valuestack", heap.word(frame + heap.frame_value_stack),
             frame + heap.frame_localsplus + 8 * len(names))


def check_chunks(heap, tstate, frame):
    chunk = heap.word(tstate + heap.tstate_datastack_chunk)
    same("the frame is in the chunk", chunk <= frame < chunk + heap.word(chunk + heap.chunk_size), True)
    chunks = heap.target.chain(chunk, heap.chunk_previous)
    same("more than one chunk", len(chunks) > 1, True)
    for full in chunks[1:]:
        size, top = heap.word(full + heap.chunk_size), heap.word(full + heap.chunk_top)
        same("size and top of a full chunk", size % 4096 == 0 and size // 2 < 8 * top <= size, True)


def check_generators(heap, facts):
    known, ended = facts["waiting"], facts["ended"]["at"]
    at, code = known["at"], known["code"]
    same("gi_name", heap.word(at + heap.generator_name), known["name"])
    same("gi_qualname", heap.word(at + heap.generator_qualname), known["qualname"])
    frame = at + heap.generator_frame
    if heap.has("FRAME_OBJECTS"):
        frame = heap.word(frame)
        same("gi_frame", frame, known["frame"])
        same("gi_frame of one that ended", heap.word(ended + heap.generator_frame), 0)
    else:
        states = [heap.word(one + heap.generator_frame_state, "<b") for one in (at, ended)]
        same("gi_frame_state", [state >= heap.generator_finished for state in states], [False, True])
    same("f_code", reference(heap, heap.word(frame + heap.target.layout.frame_code)), code)
    bottom = frame + heap.frame_localsplus + 8 * len(local_names(heap, code))
    count = stack_depth(heap, frame, bottom, len(local_names(heap, code)))
    same("depth of the value stack", 1 <= count <= heap.word(code + heap.code_stacksize, "<i"), True)
    stack = [reference(heap, word) for word in heap.words(bottom, count)]
    same("the iterator is on the value stack", known["on_stack"] in stack, True)


def stack_depth(heap, frame, bottom, locals_count):
    if not heap.has("STACK_TOP_INT"):
        return (heap.word(frame + heap.frame_stack_top) - bottom) // 8
    count = heap.word(frame + heap.frame_stack_top, "<i")
    return count if heap.has("FRAME_OBJECTS") else count - locals_count


def check_pools(heap, facts):
    before, after = (DEBUG_BEFORE, DEBUG_AFTER) if heap.has("DEBUG_BUILD") else (0, 0)
    size = (before + facts["pools"]["bytes"] + after + 15) // 16 * 16
    by_pool = {}
    for block in facts["pools"]["blocks"]:
        pool, found = inside_pool(heap, block - before)
        same("size of a block", found, size)
        by_pool.setdefault(pool, []).append(block)
    capacity = (heap.pool_size - heap.pool_overhead) // size
    arenas = {}
    for pool, blocks in by_pool.items():
        same("maxnextoffset", heap.word(pool + heap.pool_max_next_offset, "<I"), heap.pool_size - size)
        same("nextoffset", (heap.word(pool + heap.pool_next_offset, "<I") - heap.pool_overhead) % size, 0)
        count = heap.word(pool + heap.pool_ref, "<I")
        same("ref", len(blocks) <= count <= capacity, True)
        if count == capacity:
            same("freeblock of a full pool", heap.word(pool + heap.pool_freeblock), 0)
        arenas.setdefault(heap.word(pool + heap.pool_arena, "<I"), []).append(pool)
    same("full pools", sum(len(blocks) == capacity for blocks in by_pool.values()) > len(by_pool) // 2, True)
    spans = [max(pools) - min(pools) + heap.pool_size for pools in arenas.values()]
    # An arena that does not begin on the boundary of a pool holds one less.
    same("span of an arena", max(spans) in (heap.arena_size, heap.arena_size - heap.pool_size), True)


def collector(heap):
    if heap.layout.runtime_gc != NONE:
        return heap.target.root + heap.runtime_gc
    return heap.word(heap.target.root + heap.runtime_interp_head) + heap.interp_gc


def closed(heap, head):
    """Whether a list of the collector leads from its head to the next object and back."""
    after, before = heap.word(head) & ~3, heap.word(head + 8) & ~3
    try:
        return heap.word(after + 8) & ~3 == head and heap.word(before) & ~3 == head
    except (OSError, struct.error, ValueError, OverflowError):
        return False


def generations(heap):
    """Addresses of the generations, at the one place of two where the lists are closed."""
    places = [heap.gc_generations]
    if heap.layout.gc_generations_other != NONE:
        places.append(heap.gc_generations_other)
    base = collector(heap)
    found = [[base + place + i * heap.gc_generation_size for i in range(heap.gc_generation_number)]
             for place in places]
    found = [heads for heads in found if all(closed(heap, at + heap.gc_generation_head) for at in heads)]
    same("places of generations with closed lists", len(found), 1)
    return found[0]


def listed(heap, head):
    """Objects in a list of the collector."""
    at, found = heap.word(head) & ~3, set()
    while at != head and len(found) < 1000000:
        found.add(at + heap.gc_head)
        at = heap.word(at) & ~3
    return found


def check_collector(heap, facts):
    known, base = facts["gc"], collector(heap)
    places = generations(heap)
    same("thresholds", [heap.word(at + heap.gc_generation_threshold, "<i") for at in places],
         known["threshold"])
    counts = [heap.word(at + heap.gc_generation_count, "<i") for at in places]
    same("counts of old generations", counts[1:], known["count"][1:])
    same("count of the young one", abs(counts[0] - known["count"][0]) < 2000, True)
    lists = [listed(heap, at + heap.gc_generation_head) for at in places]
    same("young objects", set(facts["gc_young"]) <= set().union(*lists), True)
    frozen = listed(heap, base + heap.gc_permanent + heap.gc_generation_head)
    same("frozen objects", len(frozen), facts["gc_frozen"]["count"])
    same("known frozen objects", set(facts["gc_frozen"]["some"] + facts["gc_tracked"]) <= frozen, True)
    same("enabled", bool(heap.word(base + heap.gc_enabled, "<i")), known["enabled"])
    same("garbage", heap.word(base + heap.gc_garbage), known["garbage"])
    same("collecting", heap.word(base + heap.gc_collecting, "<i"), 0)
    for number, stats in enumerate(known["stats"]):
        at = statistics(heap, number)
        for field in ("collections", "collected", "uncollectable"):
            same(f"{field} of generation {number}",
                 heap.word(at + getattr(heap, "gc_stat_" + field)), stats[field])
        if heap.has("GC_RING"):
            check_times(heap, at, stats)


def check_times(heap, at, stats):
    same("candidates", heap.word(at + heap.gc_stat_candidates), stats["candidates"])
    same("duration", heap.word(at + heap.gc_stat_duration, "<d"), stats["duration"])
    took = heap.word(at + heap.gc_stat_stop) - heap.word(at + heap.gc_stat_start)
    same("time of the last collection", 0 < took / 1e9 <= stats["duration"] * 1.000001, True)


def statistics(heap, number):
    """Address of a generation's latest figures."""
    at = collector(heap) + heap.gc_stats
    if not heap.has("GC_RING"):
        return at + number * heap.gc_stat_size
    at = heap.word(at)
    ring, index, items = at + heap.gc_ring_young, heap.gc_ring_young_index, heap.gc_ring_young_items
    if number:
        ring = at + heap.gc_ring_old + (number - 1) * heap.gc_ring_old_size
        index, items = heap.gc_ring_old_index, heap.gc_ring_old_items
    last = heap.word(ring + index, "<b")
    same("index of a ring", 0 <= last < items, True)
    return ring + last * heap.gc_stat_size


def check_interpreter(heap, facts):
    interp = heap.word(heap.target.root + heap.runtime_interp_head)
    same("sys.modules", heap.word(interp + heap.interp_modules), facts["sys_modules"])
    if heap.layout.interp_interned != NONE:
        interned = heap.dict_entries(heap.word(interp + heap.interp_interned))
        same("an interned string", facts["interned"] in [key for key, _ in interned], True)


CHECKS = (check_types, check_slots, check_instances, check_containers, check_leaves, check_functions,
          check_frame, check_generators, check_pools, check_collector, check_interpreter)


def all_used(heap):
    wanted = {name for name, _ in heap.layout._fields_ if getattr(heap.layout, name) != NONE}
    missing = wanted - heap.used - UNUSED - {"version", "flags"}
    same("fields that were not looked at", sorted(missing), [])
    return len(heap.used)


def wait_for_read(child):
    """The line was printed just before the read: wait until the thread sleeps in it."""
    while open(f"/proc/{child.pid}/syscall", encoding="ascii").read().split()[:2] not in (
            ["0", "0x0"], ["63", "0x0"]):
        pass


def compare(child, facts, libraries, structs):
    layout, flags = structs[0](), structs[1]
    version = facts["version"]
    err = libraries[1].find_layout(*version, facts["debug"], facts["free_threaded"], ctypes.byref(layout))
    if facts["free_threaded"] or tuple(version[:2]) in REFUSED:
        same("layout of one that is refused", err, ENOTSUP)
        return "refused"
    same("error", err, 0)
    target = check_layouts.Target(libraries[0], *structs[2:], child.pid, tuple(version))
    heap = Heap(target, layout, flags)
    wait_for_read(child)
    for one in CHECKS:
        one(heap, facts)
    child.stdin.write(b"\n")
    child.stdin.flush()
    same("the second phase", child.stdout.readline(), b"collecting\n")
    same("collecting", heap.word(collector(heap) + heap.gc_collecting, "<i"), 1)
    return f"{all_used(heap)} fields"


def check(python, libraries, structs):
    root, _, exe = python.rpartition(":")
    prefix = ["chroot", root] if root else []
    script = os.path.join(tempfile.gettempdir(), f"heap_target{os.getpid()}.py")
    shutil.copyfile(PROGRAM, root + script)
    child = subprocess.Popen(prefix + [exe, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        facts = json.loads(child.stdout.readline().decode())
        said = compare(child, facts, libraries, structs)
        kind = " debug" if facts["debug"] else ""
        print("ok   %d.%d.%d%s: %s (%s)" % (*facts["version"], kind, said, python))
        return True
    except (ValueError, OSError, KeyError, struct.error) as error:
        print(f"FAIL {python}: {error}")
        return False
    finally:
        child.kill()
        child.wait()
        os.unlink(root + script)


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: check_heap_layouts.py [ROOT:]PYTHON...")
    structs = (*layout_struct(), *check_layouts.layout_struct())
    with tempfile.TemporaryDirectory() as folder:
        libraries = check_layouts.load_library(folder), load_library(folder)
        results = [check(python, libraries, structs) for python in sys.argv[1:]]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
