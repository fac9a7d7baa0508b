/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the recorder share. */
#ifndef RECORDER_PRIVATE_H
#define RECORDER_PRIVATE_H

#include "base/hash.h"
#include "os/cgroup_memory.h"
#include "python/examiner.h"
#include "record/amounts.h"
#include "record/record_db.h"
#include "record/recorder.h"

/* --- names that occur again and again: recorder_names.c --- */

struct name_text {
	uint32_t id;
	UT_hash_handle hh; /* by the text that follows the structure */
	char bytes[];
};

struct name_frame {
	struct frame_key {
		uint32_t file, function;
		int32_t line, first_line;
		uint32_t flags; /* FRAME_PROLOGUE, FRAME_THREAD */
	} key;
	uint32_t id;
	UT_hash_handle hh;
};

struct name_node {
	struct node_key {
		uint32_t parent, frame;
	} key;
	uint32_t id;
	UT_hash_handle hh;
};

struct names {
	struct name_text *texts;
	struct name_frame *frames;
	struct name_node *nodes;
	bool full; /* there is no room for more: NAMES_MOST */
};

/* Numbers for a text, a frame, a stack, from 1 on. A new one is written at once. 0: there is no
 * room for more; out of memory, which is noted as an error of the file; of a stack without frames,
 * too. */
uint32_t names_text(struct names *names, struct record_db *db, const char *text);
uint32_t names_frame(struct names *names, struct record_db *db, const struct counts_frame *frame);
/* Outermost is the stack's thread, if that is told. */
uint32_t names_stack(struct names *names, struct record_db *db, const struct counts_stack *stack);
void names_free(struct names *names);

/* Names of another file, by number: while what is still needed of them gets numbers in a new one.
 */
struct names_moving {
	struct names *from;
	struct name_text **texts;
	struct name_frame **frames;
	struct name_node **nodes;
	uint32_t *moved; /* new numbers of nodes; 0: none yet */
};

/* 0 or -ENOMEM; names_moving_fini() is to be called either way. */
int names_moving_init(struct names_moving *moving, struct names *from);
void names_moving_fini(struct names_moving *moving);
/* The number in `to` of what is node `node` of the other file; as of names_stack(). */
uint32_t names_move(struct names_moving *moving, struct names *to, struct record_db *db,
		    uint32_t node);

/* --- what is recorded --- */

struct rec_collector { /* the counts of a garbage collector */
	struct py_collector place;
	uint64_t counts[PY_GENERATIONS]; /* as they were read last */
	bool found;			 /* `place` is known */
	bool known;			 /* `counts` are */
	bool unseen;			 /* they can't be read, which is written */
	unsigned failures, falls; /* readings in a row that failed, or had less than before */
};

struct rec_pss { /* bytes; -1: unknown */
	int64_t bytes, swap_bytes;
};

struct rec_thread {
	uint64_t id; /* PYMEM_THREAD() */
	char name[PYMEM_THREAD_NAME];
	UT_hash_handle hh;
};

struct rec_image {
	uint32_t id;
	struct rec_thread *threads;
	pid_t pid;
	uint64_t start_boottime_ns;
	int64_t pages[PYMEM_MEMBERS], peak;
	struct amounts now, recorded;	  /* AMOUNTS_RECORD */
	struct rec_cgroup *cgroup;	  /* NULL: unknown */
	struct rec_view *view, *view_cwd; /* of absolute names, of all names */
	uint64_t moved_reading;		  /* the reading in which these became others */
	struct source_root seen;	  /* what these are of: compared, never used or closed */
	uint64_t described;		  /* a hash of what its row has */
	double began, ended;
	struct rec_pss pss, pss_recorded; /* as it was read, and written, last */
	bool changed;			  /* its pages or `now`, since they were written */
	bool taken;			  /* its figures were taken for good */
	uint64_t seen_reading;		  /* the reading that it last came in */
	uint64_t taken_reading;		  /* that in which it was taken */
	bool python;			  /* its interpreter is known */
	bool death_written;		  /* how a signal ended it */
	struct rec_collector collector;
	bool gone;	    /* it no longer ran when its last figures were read */
	uint64_t gone_ms;   /* when it was written as taken; 0: it was not */
	uint64_t missed_ms; /* since then it is in no reading; 0: it is, or nobody looked */
	UT_hash_handle hh;
};

struct rec_stack {
	struct pymem_stack_key key;
	uint32_t place;	      /* in recorder.seen */
	uint32_t node, flags; /* as they were recorded last */
	uint32_t node_now, flags_now;
	bool written;	/* there is a row of it */
	unsigned falls; /* intervals in a row in which it had less than before */
	unsigned waits; /* intervals for which its frames were waited for */
	struct pymem_vmcalls calls;
	int64_t recorded[STACK_FIELDS];
	UT_hash_handle hh;
};

/* In each reading all stacks come, and then what threads have collected for stacks. */
enum rec_orders { REC_STACKS, REC_THREADS, REC_ORDERS };

struct rec_seen { /* what is compared of a stack in each reading */
	struct pymem_stack_key key;
	struct rec_stack *stack; /* NULL: the place is free */
	struct rec_image *image;
	struct pymem_counters counters; /* of the stack */
	bool resolved;			/* all its frames are known */
	bool looked;			/* they have been looked for */
	bool carried;			/* from another file, and has not changed since */
	bool active;			/* in recorder.active */
	bool later;			/* it is written in a later interval */
	bool changed;			/* something of it differs from what is written */
	uint32_t next_free;		/* if the place is free: the next one that is; 0: none */
	uint32_t turns[REC_ORDERS];	/* when it came last */
	uint64_t pending_reading;	/* the reading that `pending` is of; of others it is 0 */
	struct pymem_counters pending;	/* in threads */
};

struct rec_turns { /* places of stacks in the order in which a reading brought them */
	uint32_t *places;
	size_t count, room;
};

struct rec_order {
	struct rec_turns last, now; /* of the last reading, of this one */
	size_t turn;		    /* in `last`: what probably comes next */
};

struct rec_todo { /* a stack that is written in this interval; they are sorted */
	uint32_t image, node, place;
};

struct rec_run { /* a line of the exact engine */
	struct run_key {
		uint32_t image, frame;
	} key;
	struct pymem_line counted;
	uint64_t reading;
	struct amounts recorded;
	UT_hash_handle hh;
};

/* What a stack brought into the page cache of a file (AMOUNTS_CACHED), or took of the kernel's own
 * memory (AMOUNTS_KERNEL). */
struct rec_cached {
	struct cached_key {
		uint32_t image, node, flags, kind; /* kind: enum amounts_kind */
	} key;
	uint64_t reading;
	struct amounts now, recorded;
	UT_hash_handle hh;
};

struct rec_source { /* a file that was met */
	struct source_key {
		uint32_t view, file;
	} key;
	struct rec_view *view;
	char *name;		 /* NULL: it is written */
	struct rec_source *next; /* one that was met before, and is to be read as well */
	UT_hash_handle hh;
};

struct rec_content { /* a text in the file */
	uint64_t hash;
	int64_t id;
	UT_hash_handle hh;
};

struct rec_view { /* processes that see the same files with the same rights */
	struct source_view_key key;
	struct source_root root;
	uint32_t id;
	unsigned users; /* images, and files that are still to be read */
	UT_hash_handle hh;
};

struct rec_cgroup {
	char *path;
	uint32_t id;
	unsigned users;		     /* images that are not forgotten */
	struct cgroup_memory memory; /* as it was recorded last */
	UT_hash_handle hh;
};

struct rec_limit { /* a control group that has a limit: itself, or above a recorded one */
	struct cgroup_reclaims reclaims; /* as they were read last */
	UT_hash_handle hh;		 /* by its path, which follows the structure */
	char path[];
};

struct rec_collected { /* collections of all processes, while they are read */
	struct examiner_counted *counted;
	struct rec_image **images;
	size_t count, room, image_room;
	unsigned ticks;
};

struct rec_late { /* figures that came after their image was taken; the report gets them next */
	struct pymem_stack_key key;
	struct pymem_counters counters;
	struct rec_late *next;
};

struct recorder {
	struct recorder_options options;
	struct counts inner;
	struct record_db db;
	struct names names;
	struct rec_image *images;
	struct rec_stack *stacks;
	struct rec_seen *seen; /* recorder_stacks.c */
	size_t seen_count, seen_room;
	uint32_t seen_free; /* the first free place; 0: none */
	uint32_t found;	    /* the place that recorder_next_seen() found last; 0: none yet */
	struct rec_order orders[REC_ORDERS];
	struct rec_run *runs;
	struct rec_cached *cached;
	uint32_t *active; /* places of stacks at which the writing of the interval looks */
	struct rec_todo *todo;
	size_t active_count, active_room, todo_count, todo_room;
	struct rec_late *lates;
	struct rec_cgroup *cgroups;
	struct rec_limit *limits;
	int64_t host_reclaims; /* as they were read last; -1: they are not known */
	bool collections_off;  /* the examiner is gone, which is written */
	struct rec_collected collected;
	uint32_t cgroup_count, cgroup_turn; /* numbers given; the last one that was read */
	uint64_t reading;		    /* its number */
	uint64_t read_reading;		    /* number of the last one that was not a taking */
	uint64_t before_reading;	    /* number of the one before that */
	uint64_t moved_reading;	     /* number of the last one in which an image's view moved */
	bool look_again;	     /* the next reading is to bring all stacks */
	unsigned taken_stacks;	     /* of what has ended, that wait to be written */
	uint32_t last_stranger;	     /* the highest number of an image that was not known */
	unsigned until_all;	     /* seconds until a reading brings them anyway */
	struct rec_carried *carried; /* recorder_go_on.c */
	bool paused;		     /* there is no file */
	bool begun;		     /* a file was begun, or figures were read without one */
	bool blind;		     /* the figures could not be read */
	bool final;		     /* recorder_ends() was called */
	bool finished;
	double start, since, end; /* of the interval; `end` of the last reading, 0: not yet */
	int64_t interval;	  /* its number, from 1 on */
	bool idle;		  /* nothing was written in the last interval */
	unsigned turns; /* seconds of the interval, 1 to 60: for what takes turns each second */
	unsigned ungathered;	     /* seconds of intervals since old ones were put together */
	struct amounts_buffer parts; /* of the interval that is written */
	struct amounts_buffer facts, last_facts, touched, away, firsts;
	uint32_t touched_image;
	bool touched_away; /* of that image it is known what is not resident any more */
	struct recorder_sizes sizes;
	/* recorder_sources.c */
	struct rec_source *sources, *unread;
	struct rec_content *contents;
	struct rec_view *views;
	uint32_t view_count;
	int64_t content_count;
	size_t source_bytes;	  /* of all contents, packed */
	unsigned sources_refused; /* files that had no room */
	bool sources_full;	  /* no more are read */
	/* of the reading that goes on */
	const struct counts_reader *reader;
	void *reader_arg;
	bool taking;
	char why[320];
};

#define NO_MEMORY(recorder) ((recorder)->db.error = (recorder)->db.error ?: -ENOMEM)

/* recorder_pass.c */
/* A reading begins: for `reader` (NULL: of our own); `taking`: of what has ended. */
void recorder_begin_reading(struct recorder *r, const struct counts_reader *reader, void *arg,
			    bool taking);
void recorder_end_reading(struct recorder *r);
/* Keeps the facts as the report got them last; the end is when it got them first. */
void recorder_note_facts(struct recorder *r, const struct counts_facts *facts);

/* recorder_note.c: keep what passes. */
void recorder_note_image(struct recorder *r, const struct counts_image *image);
/* Its verdict is for readings of our own. */
enum counts_verdict recorder_note_stack(struct recorder *r, const struct counts_stack *stack,
					bool thread);
void recorder_note_line(struct recorder *r, const struct counts_line *line);
/* A counts_reader.changes: all are read once a minute, where files of a process have become others,
 * and where a stack has just come whose frames are not all known. */
bool recorder_wants_changes(void *arg);
/* A counts_reader.wants: most figures are noted already, and most frames known. */
enum counts_want recorder_wants(const struct pymem_stack_key *key,
				const struct pymem_counters *counters, bool thread, void *arg);
/* A counts_reader.stalled: a stack that only stalled is in the interval, too. */
void recorder_note_stalls(const struct pymem_stack_key *key, const struct pymem_vmcalls *vmcalls,
			  void *arg);
struct rec_image *recorder_image(struct recorder *r, uint32_t id);

/* recorder_stacks.c */
/* A reading of our own begins. */
void recorder_begin_order(struct recorder *r);
/* The stack that comes now in such a reading. NULL: it is not known. Valid until a new one comes.
 */
struct rec_seen *recorder_next_seen(struct recorder *r, enum rec_orders which,
				    const struct pymem_stack_key *key);
/* A stack that is known; NULL: it is not. */
struct rec_seen *recorder_find_seen(struct recorder *r, const struct pymem_stack_key *key);
/* A stack of the image; it is made if it is not known. NULL: out of memory, which is noted. */
struct rec_seen *recorder_get_seen(struct recorder *r, struct rec_image *image,
				   const struct pymem_stack_key *key);
void recorder_free_stack(struct recorder *r, struct rec_stack *stack);
void recorder_free_orders(struct recorder *r);

/* recorder_write.c: write what has changed. Returns whether anything was written. */
bool recorder_write_changes(struct recorder *r);
void recorder_write_sample(struct recorder *r, const struct rec_image *image);
/* Writes r->parts as what was added in the interval. */
void recorder_write_parts(struct recorder *r);
/* Frees what is kept of an image of which no stack is left. */
void recorder_forget_image(struct recorder *r, struct rec_image *image);
void recorder_write_facts(struct recorder *r, bool *written);
void recorder_write_image(struct recorder *r, struct rec_image *image,
			  const struct counts_image *from);

/* recorder.c: what the recording is of, from r->since on. */
void recorder_write_about(struct recorder *r);
/* ... and at its end. */
void recorder_write_end(struct recorder *r, double end);
void recorder_about(struct recorder *r, const char *name, double number, const char *text);

/* recorder_go_on.c */
void recorder_free_carried(struct recorder *r);

/* recorder_marks.c: write a row of `mark`, of an event of `image` (0: of none). */
void recorder_mark(struct recorder *r, double time, const char *kind, uint32_t image);
void recorder_mark_text(struct recorder *r, double time, const char *kind, uint32_t image,
			const char *text);
struct rec_counted {
	const char *kind;
	uint32_t image;
	const char *text; /* `length` bytes; NULL: none */
	size_t length;
	uint64_t count, more;
};
void recorder_mark_counts(struct recorder *r, double time, const struct rec_counted *counted);

/* recorder_death.c: writes a mark of how a signal ended the image. */
void recorder_mark_death(struct recorder *r, uint32_t image, const struct counts_death *death);

/* recorder_collections.c */
/* Reads how often the garbage collectors of what is recorded have run, and writes marks of it. */
void recorder_write_collections(struct recorder *r, double now);
void recorder_free_collections(struct recorder *r);

/* recorder_cached.c */
/* A counts_reader.cached. */
void recorder_note_cached(struct recorder *r, const struct counts_cached *from);
/* A counts_reader.kernel. */
void recorder_note_kernel(struct recorder *r, const struct counts_kernel *from);
/* Appends what has changed to recorder.parts. True: something has. */
bool recorder_write_cached(struct recorder *r);
/* Forgets what is kept of images that were taken; with `all` of each image. */
void recorder_forget_cached(struct recorder *r, bool all);

/* recorder_reclaims.c */
/* Notes how often the host has reclaimed before anything was recorded. */
void recorder_begin_reclaims(struct recorder *r);
/* Writes a mark if the host had to reclaim memory since the last call. */
void recorder_write_host_reclaims(struct recorder *r, double now);
/* The same for the group with the lowest limit, `cgroup` or one above it. */
void recorder_write_reclaims(struct recorder *r, const struct rec_cgroup *cgroup,
			     const struct cgroup_reclaims *reclaims, double now);
void recorder_free_reclaims(struct recorder *r);
/* In a new file: says what is not seen of the host. */
void recorder_move_reclaims(struct recorder *r);
/* recorder_threads.c */
/* Writes the name of a thread of the image, if it is not the one that was written last. */
void recorder_note_thread(struct recorder *r, struct rec_image *image,
			  const struct counts_thread *thread);
/* Frees the image, which is in no table any more. */
void recorder_free_image(struct rec_image *image);

/* recorder_cgroups.c */
/* The control group that limits the memory of process `pid`, which is in group `path` (NULL:
 * unknown). NULL: it is not known, or out of memory. */
struct rec_cgroup *recorder_cgroup(struct recorder *r, pid_t pid, const char *path);
void recorder_leave_cgroup(struct rec_cgroup *cgroup);
/* Reads and writes some of the groups, in turns. Returns whether anything was written. */
bool recorder_write_cgroups(struct recorder *r, double now);
void recorder_free_cgroups(struct recorder *r);
/* In a new file: groups that are still in use get numbers, and what they had. */
void recorder_move_cgroups(struct recorder *r);

/* recorder_pss.c */
/* Writes what was read of PSS since the last interval. Returns whether anything was written. */
bool recorder_write_pss(struct recorder *r);

/* recorder_sources.c */
/* The view of the root, of which it makes a copy if it is a new one. NULL: out of memory. */
struct rec_view *recorder_view(struct recorder *r, const struct source_root *root, bool absolute);
void recorder_leave_view(struct recorder *r, struct rec_view *view);
/* Notes that a file was met by an image. */
void recorder_meet_file(struct recorder *r, struct rec_image *image, uint32_t file,
			const char *name);
/* Reads some of the files that were met: sixteen for each second of the interval, and no more once
 * a tenth of a second is over. */
void recorder_read_sources(struct recorder *r);
/* Reads all of them, and no more once `most_ms` milliseconds are over (RECORDER_ALL_MS: all). */
#define RECORDER_ALL_MS (UINT64_MAX / 2)
void recorder_read_all_sources(struct recorder *r, uint64_t most_ms);
/* Files that were met and not read are not read any more, until they are met again. */
void recorder_drop_unread(struct recorder *r);
/* In a new file: none is in it, and those are met again whose stacks change. */
void recorder_forget_sources(struct recorder *r);
void recorder_free_sources(struct recorder *r);

#endif
