/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The files of a recording that is written: the database, its log and the log's index, all in one
 * folder that may belong to another user.
 *
 * SQLite opens, looks for and removes files by path. A user who may rename in the folder could put
 * another file in the way between two such calls. So SQLite gets a path that does not exist, and
 * its system calls that take a path lead here (xSetSystemCall): the database is the file that was
 * made, and the others are made anew in the folder that was opened, or refused. */
#ifndef RECORD_FILES_H
#define RECORD_FILES_H

#include <stdbool.h>
#include <sys/types.h>

/* The name to give to SQLite, for the VFS "unix". */
#define RECORD_FILES_PATH "/.pymem-bpf-recording/recording"

struct record_files {
	int folder, main; /* descriptors; -1: not open */
	int made[2];	  /* of the log and of its index; -1: not made */
	char *base;	  /* the name of the database in the folder */
	bool in_the_way;  /* there was a file where the log or its index is to be */
};

/* Makes the database's file, which must not exist, and leads SQLite's calls here. One process can
 * have one at a time. 0 or -errno: output_explain() has a text for it. */
int record_files_make(struct record_files *files, const char *path, mode_t mode);
/* Closes all, after SQLite has; SQLite's calls are its own again. */
void record_files_close(struct record_files *files);
/* Removes the files, if what has their names is still what was made. Before
 * record_files_close(). 0 or -errno. */
int record_files_remove(struct record_files *files);

#endif
