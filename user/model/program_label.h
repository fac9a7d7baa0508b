/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Servers run what others wrote: gunicorn with shop:application and gunicorn with blog:application
 * are two programs. Pure: nothing is read but the words of the command line. */
#ifndef PROGRAM_LABEL_H
#define PROGRAM_LABEL_H

#include "model/program.h"

/* Writes into `label`, cut at `size`, the program's name and what it serves, if the words say that:
 * "gunicorn shop:application", "-m uvicorn shop:app", "celery jobs", "uwsgi shop:application",
 * "celery@host" of a celery that has set its title; of all else program_name(). */
void program_label(const struct program *program, char *label, size_t size);

/* Writes what a process that has set its title says of its part: "master", "worker",
 * "ForkPoolWorker"; "": it has set none. Numbers are left out. */
void program_role(const struct program *program, char *role, size_t size);

#endif
