/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads a recording: what a profile was at any time of it. Needs no root, no BPF and no kernel of
 * the recorded kind. The file is hostile input: it may come from anybody.
 *
 * docs/RECORDING.md has the format. */
#ifndef RECORDING_H
#define RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/model.h"
#include "model/timeline.h"
#include "os/source.h"

struct recording;

/* What a recording is of. Strings belong to the recording. */
struct recording_about {
	const char *host, *kernel, *version; /* of the machine and the program that recorded */
	double start, end;		     /* seconds since the epoch; `end`: of what is there */
	bool complete; /* the recorder ended it; else its last second may be missing */
	/* Its first interval has what came before, in another file; it goes on in another one. */
	bool continues, continued;
	uint64_t page_size;
	bool lines, touched, threads; /* recorded with --lines; with --touched; with --threads */
	bool of_host;		      /* of a whole host: with -a */
};

/* What of a recording is wanted. All zeros: all of it. */
struct recording_view {
	double since, until; /* seconds since the epoch; 0: from its start; to its end */
	const pid_t *pids;   /* only these processes; NULL: all */
	size_t pid_count;
	const char *program; /* only processes of programs with this in their name; NULL: all */
	bool gather_imports; /* model.imports_gathered */
	bool keep_trees;     /* model.trees_kept */
	bool tell_threads;   /* model.threads_told, if they were recorded */
};

/* Opens a recording for reading; one that is still being written, too: it is read as it is now. The
 * caller closes it with recording_close(). NULL with errno set: `why` (`size` bytes) has a sentence
 * for the user. */
struct recording *recording_open(const char *path, char *why, size_t size);
void recording_close(struct recording *recording);

/* Belongs to the recording. */
const struct recording_about *recording_about(const struct recording *recording);

/* The report of what the view has. Where it begins after the start of the recording, figures are
 * what changed since. It belongs to the recording and is valid until the next call or
 * recording_close(). NULL with errno set: `why` has a sentence for the user. */
struct model *recording_model(struct recording *recording, const struct recording_view *view,
			      char *why, size_t size);

/* When the figures of the last recording_model() came about, which must have had keep_trees. In at
 * most `slices` slices (at least 1), fewer if there would be more than `changes` changes. The
 * caller frees it with timeline_free() before the next recording_model(). NULL with errno set:
 * `why` has a sentence for the user. */
struct timeline *recording_timeline(struct recording *recording, size_t slices, size_t changes,
				    char *why, size_t size);

/* A look at the heap of a process of the last recording_model(). */
struct recording_look {
	const struct model_process *process;
	double time; /* when it began, in seconds since the epoch */
	int64_t id;
};

/* Anything but 0 ends the walk, which returns it. */
typedef int recording_look_fn(const struct recording_look *look, void *arg);
/* Calls fn() for all looks in the window, by time, without reading them. 0, what `fn` returned, or
 * -errno with `why`. */
int recording_each_look(struct recording *recording, recording_look_fn *fn, void *arg, char *why,
			size_t size);

/* The JSON that `pymem-bpf heap` printed, or what a hostile file has in its place. Valid during the
 * call. */
typedef int recording_json_fn(const char *json, size_t size, void *arg);
/* Calls fn() with the JSON of a look. 0, what `fn` returned, or -errno with `why`. */
int recording_read_look(struct recording *recording, const struct recording_look *look,
			recording_json_fn *fn, void *arg, char *why, size_t size);

/* All that was wanted of the recording has been read but source texts: lets its recorder, if it
 * still runs, empty its log meanwhile. */
void recording_release(struct recording *recording);

/* The recorded source texts, for renderers and for source_line() with the root of a process of
 * recording_model(). They belong to the recording. */
struct source_cache *recording_sources(struct recording *recording);

#endif
