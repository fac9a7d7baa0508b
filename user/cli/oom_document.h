/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A document of schema "pymem-bpf-oom/1" as a process of a model. */
#ifndef OOM_DOCUMENT_H
#define OOM_DOCUMENT_H

#include <jansson.h>

#include "model/model.h"

/* Adds to the model what the document (NULL: it is no JSON) says of its process, with a death;
 * `*process` becomes that. 0; -EINVAL: it says something else; -ENOTSUP: it is of another version
 * of the schema; or -ENOMEM. */
int oom_document_read(struct model *model, const json_t *document, struct model_process **process);

#endif
