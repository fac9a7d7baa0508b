/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of a diff's web page share. Only diff_page*.c of this folder include this. */
#ifndef DIFF_PAGE_H
#define DIFF_PAGE_H

#include "render/diff_parts.h"
#include "render/page_parts.h"

/* Each writes a member of the page's data, with a comma before it. 0, -ENOMEM, or -EIO: the stream
 * has failed. diff_page_put_lines(): all lines, a list for each figure. diff_page_put_heap(): what
 * heaps kept; nothing if there were no looks. */
int diff_page_put_programs(struct page *page);
int diff_page_put_lines(struct page *page);
int diff_page_put_heap(struct page *page);

#endif
