/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the extension share: the counting of runs (_lines_engine.c, _lines_codes.c),
 * the type that Python sees (_lines.c), and how each Python reports lines (_lines_monitor.c,
 * _lines_eval.c).
 *
 * Where there is a GIL, all of it runs with the GIL held, except the end of a thread. What
 * free-threaded builds need beside that is in _lines_threads.c; LINES_FREE_THREADED says whether
 * this is one.
 */
#ifndef PYMEM_BPF_LINES_H
#define PYMEM_BPF_LINES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#include "pymem_block.h"

/* A test of the counting alone sets it, with the headers of any Python. */
#ifndef LINES_FREE_THREADED
#ifdef Py_GIL_DISABLED
#define LINES_FREE_THREADED 1
#else
#define LINES_FREE_THREADED 0
#endif
#endif

/* Words that threads read while another one writes them, where nothing else depends on the order.
 */
#define lines_get(word)	       __atomic_load_n(&(word), __ATOMIC_RELAXED)
#define lines_set(word, value) __atomic_store_n(&(word), value, __ATOMIC_RELAXED)

/* What one recorder counts of one line; amounts in pages. */
struct line {
	int64_t runs;
	int64_t pages;
	int64_t usage_pages; /* highest, at the end of a run */
};

/* Counters of a sink. */
struct counts {
	int64_t calls;
	int64_t untold;	     /* times that the interpreter stopped reporting a frame's lines */
	struct line lines[]; /* code->count of them */
};

/* What one recorder counts of one code object, as part of one function. */
struct sink {
	struct recorder *recorder;
	const PyObject *function; /* the code object of which this one is a part, or itself */
	struct sink *next;	  /* next sink of the same code object */
	struct code *code;
	struct sink *sibling; /* next sink of the same recorder */
	size_t number;	      /* free-threaded: which of a thread's counters are for it */
	struct counts counts; /* free-threaded: of the threads that have ended */
};

/* A profiled code object: kept as long as a recorder has it. */
struct code {
	PyObject *object;
	struct sink *sinks;
	struct code *dead;     /* next one of those that lines_drop() has taken out */
	int first, count;      /* lines from `first` on */
	int begin;	       /* line where it begins */
	int32_t *offset_lines; /* line of each code unit */
	Py_ssize_t offset_count;
};

enum metric { METRIC_RSS, METRIC_PSS, METRIC_USS };

/* PSS and USS of the whole process. */
struct smaps {
	int64_t pss_bytes, uss_bytes;
};

/* Reads them. 0; -1: they can't be read now. */
int lines_smaps(struct smaps *smaps);

/* Resident pages of the process, as statm has them; -1: it can't be read now. The file stays open
 * until lines_resident_end(). The program may have closed it: then it is opened again, in
 * free-threaded builds by lines_resident_mend(), once the event is over. */
int64_t lines_resident(void);
void lines_resident_begin(void);
void lines_resident_mend(void);
void lines_resident_end(void);

/* Resident pages of all descendants; -1: they can't be found now, or are more than 4,096. */
int64_t lines_descendants(void);

/* Has this kernel lists of children (CONFIG_PROC_CHILDREN)? */
bool lines_can_list_descendants(void);

#define RESIDENT_STEPS 16

/* Touches RESIDENT_STEPS pages, one after the other. Returns how many of them statm counted at
 * once, each as one page: nearly all if it sums the kernel's counters, hardly any if it lacks what
 * is held back. -1: out of memory. */
int lines_resident_steps(void);

#define DEEP_TIDS 8

/* Counters of one LineProfiler. */
struct recorder {
	PyObject_HEAD Py_buffer block;
	int fd; /* of the helper's connection; -1: none */
	bool children, enabled, cut;
	bool estimated;	 /* the block has no figures: they are those of /proc */
	bool own_thread; /* counts the thread that enabled it, no other */
	enum metric metric;
	uint64_t deep; /* how often counting stopped in a thread whose calls were too deep */
	uint32_t deep_tids[DEEP_TIDS]; /* TIDs of the first of these threads */
	unsigned int deep_tid_count;
	bool blind;	   /* calls of other threads may have been missed meanwhile */
	uint64_t unread;   /* how often a figure of /proc could not be read */
	uint64_t unplaced; /* how often there was no memory for a thread's counters */
	uint64_t thread;   /* serial of the thread that it counts; 0: all threads */
	uint64_t epoch;
	uint64_t forks; /* lines_forks() when it was made: its block is that process's */
	struct sink *sinks;
	PyObject *alarm; /* called when RSS at a line reaches alarm_pages; NULL: none */
	int64_t alarm_pages;
	struct recorder *next; /* of those enabled */
};

/* How a run began; BY_ENTRY and RESUMED are bits. RESUMED: as a part of one that was counted
 * before. BY_ENTRY: its line may be told once more. */
enum how { BY_EVENT = 0, BY_ENTRY = 1, RESUMED = 2 };

/* Amounts in pages. */
struct sample {
	int64_t net;   /* what the thread has changed */
	int64_t other; /* what the process's children have */
	int64_t rss;
	struct smaps smaps; /* if a recorder wants them */
};

/* Fills in PSS and USS of a sample. */
void lines_sample_smaps(struct sample *now);

/* Fills in the other amounts of a sample, if the block has no figures. with_descendants: `other`,
 * too. */
void lines_sample_estimate(struct sample *now, bool with_descendants);

struct frame {
	struct code *code;
	uint64_t number;
	int line;	  /* 0: none */
	unsigned int how; /* enum how */
	uint64_t epoch; /* the engine's when the run began: recorders that were enabled later do not
			   count it */
	struct sample begin; /* when the run began */
};

struct thread {
	uint32_t tid;
	uint64_t forks;	 /* lines_forks() when tid was asked for */
	uint64_t serial; /* unique, unlike tid and address */
	const volatile struct pymem_block *block;
	const volatile struct pymem_block_thread *place;
	bool deep;	  /* its calls are too deep to be counted */
	uint32_t events;  /* runs that have ended */
	uint64_t numbers; /* frames that were counted */
	size_t depth, room;
	struct frame *frames;
	int64_t alarm_rss; /* RSS, in pages, at the line for which lines_alarm() is to be called */
	struct thread *next, **link;
	/* Free-threaded: */
	bool inside;		/* of an event */
	size_t count_room;	/* places in `counts` */
	struct counts **counts; /* by the sinks' numbers; NULL: nothing yet */
};

/* Recorder.__init__(): 0; -1 and an exception. */
int lines_recorder_init(PyObject *self, PyObject *args, PyObject *kwargs);

/* Is half of the calling thread's C stack used? */
bool lines_stack_is_low(void);

/* The calling thread's record, to be used with this block; NULL without memory. */
struct thread *lines_thread_now(const volatile struct pymem_block *block);

/* The calling thread's record; NULL without memory. */
struct thread *lines_thread_here(void);

/* While a thread is between these two, no other one is, no thread is inside an event, and none
 * ends: what events read may be changed, and what they write be read. Not to be used inside an
 * event, nor inside one another. No Python object may be freed and no Python code be called between
 * them. */
void lines_exclusive_begin(void);
void lines_exclusive_end(void);

/* All threads. Between lines_exclusive_begin() and lines_exclusive_end(). */
struct thread *lines_threads(void);

#if LINES_FREE_THREADED
/* Around each event that the interpreter reports: what is in _lines_codes.c and _lines_engine.c may
 * be used between them. lines_event_begin() gives false if there is no memory for the thread's
 * record: then there is no lines_event_end(). */
bool lines_event_begin(void);
void lines_event_end(void);

/* Something is to be done once the event of the calling thread is over: lines_resident_mend(). */
void lines_event_needs_mending(void);
#else
static inline bool lines_event_begin(void)
{
	return true;
}

static inline void lines_event_end(void)
{
}
#endif

/* To be called in the child of a fork. */
void lines_after_fork(void);

/* The code object's record, NULL if it is not profiled. */
struct code *lines_find(PyObject *code);

/* Profiles a code object for a recorder, as part of `function`. like: has the fields from object to
 * begin; lines: the lines of its code units, as int32, `size` bytes, which are copied. 0, also if
 * it is profiled already; -1: out of memory; -2: it is profiled with other lines. */
int lines_add(struct recorder *r, const PyObject *function, const struct code *like,
	      const char *lines, Py_ssize_t size);

/* What the recorder counts of a code object as part of `function`; NULL: nothing. */
struct sink *lines_sink(const struct code *code, const struct recorder *r,
			const PyObject *function);

#if LINES_FREE_THREADED
/* A thread's counters of a sink, made if they are not there. NULL: no memory, which is noted. By
 * that thread inside an event, or exclusive. */
struct counts *lines_counts_new(struct sink *sink, struct thread *t);

/* Adds a thread's counters to the sinks', and frees them. Exclusive. */
void lines_counts_fold(struct thread *t);
#endif

/* Where a thread counts for a sink; NULL: it has not counted anything yet. */
static inline struct counts *lines_counts_there(struct sink *sink, const struct thread *t)
{
#if LINES_FREE_THREADED
	return sink->number < t->count_room ? t->counts[sink->number] : NULL;
#else
	(void)t;
	return &sink->counts;
#endif
}

/* The same, made if it is not there; NULL: no memory. */
static inline struct counts *lines_counts_of(struct sink *sink, struct thread *t)
{
	struct counts *counts = lines_counts_there(sink, t);

#if LINES_FREE_THREADED
	if (!counts)
		counts = lines_counts_new(sink, t);
#endif
	return counts;
}

/* All that was counted for a sink, in all threads: a copy, to be freed; NULL: no memory. Exclusive.
 */
struct counts *lines_counts_copy(const struct sink *sink);

/* Drops all that a recorder counted. */
void lines_drop(struct recorder *r);

/* Number of forks between the process that loaded the module and this one. */
uint64_t lines_forks(void);

/* The list of enabled recorders. */
struct recorder *lines_recorders(void);

/* The calling thread's record; NULL: out of memory. While no recorder is enabled it has no place in
 * a counter block. */
struct thread *lines_this_thread(void);

/* Does the recorder count this thread now? */
bool lines_counts(const struct recorder *r, const struct thread *t);

/* Enables a recorder. 0; -1: another block is in use; -2: out of memory. */
int lines_enable(struct recorder *r);

/* Disables a recorder. Runs that go on are counted up to now, in all threads. Exclusive. */
void lines_disable(struct recorder *r);

/* To be called once, when the module is loaded. 0 or -1. */
int lines_init(void);

/* The events. lines_enter() gives the frame's number for lines_leave(), another one for each frame
 * of the thread; 0: it is not counted. lines_line(): true if lines_alarm() is to be called, after
 * the event. */
uint64_t lines_enter(struct code *code, int line, enum how how);
bool lines_line(PyObject *code, int line);
void lines_leave(uint64_t number);
void lines_leave_code(struct code *code);

/* Calls the alarms that are due, each recorder's only once. -1: one has raised an exception. */
int lines_alarm(void);

/* Is one due for this thread, which has alarm_rss? Inside an event, or exclusive. */
bool lines_alarm_is_due(const struct thread *t);

/* The lowest alarm of those enabled, in pages; INT64_MAX: none has one. */
int64_t lines_lowest_alarm(void);

/* To be called when an alarm of those enabled is set no more, or others are enabled. Exclusive. */
void lines_alarms_changed(void);

/* Notes, for the recorders that count a frame, that the interpreter stopped reporting its lines. */
void lines_untold(PyObject *code);

/* Notes, for the recorders that count the calling thread, that its lines are not reported from now
 * on: its calls have taken half of its C stack. Called with false, that is over. */
void lines_deep(bool begins);

/* Notes the same for a recorder that was enabled after that began. */
void lines_note_deep(struct recorder *r);

/* Has the calling thread frames that are counted? */
bool lines_inside(void);

/* Each hook has its own: may calls be missed at this moment? own_thread: by a recorder that counts
 * only the thread that enabled it. */
bool lines_blind(bool own_thread);

/* Notes for all enabled recorders that calls may have been missed. */
void lines_note_blind(void);

/* Line of the instruction at byte `offset`: where the code begins, if it has none. */
int lines_at(const struct code *code, long offset);

/* Is any recorder enabled? */
bool lines_enabled(void);

/* Are recorders enabled whose figures are estimates? */
bool lines_estimating(void);

/* Functions of the module that hooks need; ended by {0}. */
extern PyMethodDef hook_methods[];

#endif
