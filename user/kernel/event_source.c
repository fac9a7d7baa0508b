/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "kernel/event_source.h"

#define ADDRESS(id) [EVENT_SOURCE_##id] = &source_##id,
const struct event_source *const event_sources[EVENT_SOURCE_COUNT] = {EVENT_SOURCES(ADDRESS)};

/* The types that kernel_probe() looks for: five of its own, and those of all sources. */
#define TYPES_ASKED_MAX (7 + EVENT_SOURCE_COUNT * SOURCE_NEEDS_MAX * NEED_TYPES_MAX)
_Static_assert(TYPES_ASKED_MAX <= KERNEL_TYPES_MAX, "raise KERNEL_TYPES_MAX");

/* The need `i` of the source. NULL: it has fewer. */
static const struct source_need *need_of(const struct event_source *source, unsigned i)
{
	return i < SOURCE_NEEDS_MAX && source->needs[i].what ? &source->needs[i] : NULL;
}

void event_sources_ask(struct kernel_features *kernel)
{
	const struct source_need *need;

	for (unsigned i = 0; i < EVENT_SOURCE_COUNT; i++)
		for (unsigned j = 0; (need = need_of(event_sources[i], j)); j++)
			for (unsigned k = 0; k < NEED_TYPES_MAX && need->types[k].name; k++)
				kernel_ask(kernel, &need->types[k]);
}

bool source_need_is_met(const struct source_need *need, const struct kernel_features *kernel)
{
	bool has = true;

	for (unsigned i = 0; i < NEED_TYPES_MAX && need->types[i].name; i++) {
		has = kernel_has(kernel, &need->types[i]);
		/* One that is there is enough, or one that is not. */
		if (has == need->one_of)
			break;
	}
	return has && (!need->met || need->met(kernel)) && (!need->allowed || need->allowed());
}

/* True if that kernel needs it and does not have it. */
static bool is_lack(const struct source_need *need, const struct kernel_features *kernel)
{
	return !need->allowed && (!need->applies || need->applies(kernel)) &&
	       !source_need_is_met(need, kernel);
}

static bool has_all(const struct event_source *source, const struct kernel_features *kernel)
{
	const struct source_need *need;

	for (unsigned i = 0; (need = need_of(source, i)); i++)
		if (is_lack(need, kernel))
			return false;
	return true;
}

static bool is_asked(const struct event_source *source, const struct session_options *options)
{
	const struct event_source *whole = source->part_of ?: source;

	return !whole->asked || whole->asked(options);
}

bool event_source_is_required(const struct event_source *source,
			      const struct kernel_features *kernel)
{
	const struct event_source *whole = source->part_of ?: source;

	return !whole->asked || (whole->required && whole->required(kernel));
}

static bool is_wanted(const struct event_source *source, const struct session_options *options,
		      const struct kernel_features *kernel)
{
	return is_asked(source, options) || event_source_is_required(source, kernel);
}

/* True if a session with these options could load it on that kernel. */
static bool is_possible(const struct event_source *source, const struct session_options *options,
			const struct kernel_features *kernel)
{
	return (!source->only_on || source->only_on(kernel)) &&
	       is_wanted(source, options, kernel) && has_all(source, kernel) &&
	       (!source->part_of || has_all(source->part_of, kernel));
}

/* True if `first` or one that is rather loaded than it can be loaded. NULL: none. */
static bool one_is_possible(const struct event_source *first, const struct session_options *options,
			    const struct kernel_features *kernel)
{
	for (; first; first = first->rather)
		if (is_possible(first, options, kernel))
			return true;
	return false;
}

static bool is_untold(const struct event_source *source, const struct session_options *options,
		      const struct kernel_features *kernel)
{
	return source->told_by && !one_is_possible(source->told_by, options, kernel);
}

bool event_source_is_loaded(const struct event_source *source,
			    const struct session_options *options,
			    const struct kernel_features *kernel)
{
	return is_possible(source, options, kernel) &&
	       !one_is_possible(source->rather, options, kernel) &&
	       !is_untold(source, options, kernel);
}

const char *event_source_refusal(const struct event_source *source,
				 const struct session_options *options,
				 const struct kernel_features *kernel)
{
	const struct source_need *need;

	if (!is_wanted(source, options, kernel))
		return NULL;
	for (unsigned i = 0; (need = need_of(source, i)); i++)
		if (need->refusal && is_lack(need, kernel))
			return need->refusal;
	return NULL;
}

const char *event_sources_refusal(const struct session_options *options,
				  const struct kernel_features *kernel)
{
	const char *refusal = NULL;

	for (unsigned i = 0; i < EVENT_SOURCE_COUNT && !refusal; i++)
		refusal = event_source_refusal(event_sources[i], options, kernel);
	return refusal;
}

const char *event_source_note(const struct event_source *source,
			      const struct session_options *options,
			      const struct kernel_features *kernel)
{
	const struct source_need *need;

	if (!is_asked(source, options) || one_is_possible(source->rather, options, kernel))
		return NULL;
	for (unsigned i = 0; (need = need_of(source, i)); i++)
		if (need->note && is_lack(need, kernel))
			return need->note;
	return is_untold(source, options, kernel) ? source->untold : NULL;
}
