/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The answer in words, for pages that show its evidence in another way than as rows. The words are
 * those of the table: one place writes them (render_answer.c, render_sentences.c). */
#include "render/render_answer.h"
#include "render/render_host.h"

#include <errno.h>
#include <stdlib.h>

int answers_make(struct answers *answers, FILE *out, struct model *model,
		 const struct render_options *options)
{
	struct model_programs *programs = &answers->programs;
	size_t i;
	int err;

	*answers = (struct answers){0};
	err = model_programs_gather(model, options->sort, programs);
	if (err) {
		*programs = (struct model_programs){0};
		return err;
	}
	answers->list = calloc(programs->count + 1, sizeof(*answers->list));
	if (!answers->list)
		return -ENOMEM;
	for (i = 0; i < programs->count && !err; i++) {
		answers->list[i] = (struct answer){.out = out,
						   .model = model,
						   .options = options,
						   .program = programs->list[i],
						   .process = &programs->list[i]->sum,
						   .seconds = model->end - model->start};
		err = answer_prepare(&answers->list[i]);
	}
	return err;
}

void answers_free(struct answers *answers)
{
	size_t i;

	for (i = 0; answers->list && i < answers->programs.count; i++)
		free(answers->list[i].rows);
	free(answers->list);
	model_programs_free(&answers->programs);
}

/* Ends the text and passes it on, if there is any. */
static int pass_text(struct answer_text *text, int err, answer_words_fn *fn, void *arg)
{
	int ended = answer_text_end(text);

	if (ended)
		return ended;
	if (!err && *text->data)
		err = fn(text->data, arg);
	free(text->data);
	return err;
}

static int pass_program(struct answer *a, answer_words_fn *fn, void *arg)
{
	size_t most = a->options->top ? a->options->top : SIZE_MAX;
	struct answer_text text;
	int err = answer_text_begin(&text);

	if (err)
		return err;
	a->out = text.out;
	err = answer_head(a) ?: answer_sentences(a);
	if (!err)
		answer_members(a, most);
	return pass_text(&text, err, fn, arg);
}

/* How many processes are not told of, and the sum of those that are in no program. */
static int pass_rest(const struct model *model, const struct render_options *options,
		     uint64_t quiet, answer_words_fn *fn, void *arg)
{
	struct answer_text text;
	int err = answer_text_begin(&text);

	if (err)
		return err;
	if (quiet)
		fprintf(text.out, "%llu other process%s did not change\n",
			(unsigned long long)quiet, quiet == 1 ? "" : "es");
	if (!model->process_count && !model->gathered.processes)
		fputs("no process was profiled\n", text.out);
	parts_gathered(text.out, model, options);
	return pass_text(&text, 0, fn, arg);
}

static int pass_host(const struct model *model, const struct render_options *options,
		     answer_words_fn *fn, void *arg)
{
	struct answer_text text;
	int err = answer_text_begin(&text);

	return err ?: pass_text(&text, render_host_line(text.out, model, options), fn, arg);
}

int answer_words(struct model *model, const struct render_options *asked, answer_words_fn *fn,
		 void *arg)
{
	struct render_options options = {
		.top = asked->top, .sort = asked->sort, .host = asked->host, .every = asked->every};
	struct answers answers;
	size_t still = 0, i;
	uint64_t quiet = 0;
	int err = answers_make(&answers, NULL, model, &options);

	if (!err)
		err = pass_host(model, &options, fn, arg);
	for (i = 0; i < answers.programs.count && !err; i++)
		still += answer_is_still(&answers.list[i]);
	for (i = 0; i < answers.programs.count && !err; i++) {
		if (answer_is_counted_only(&answers.list[i], still))
			quiet += answers.list[i].program->stands_for;
		else
			err = pass_program(&answers.list[i], fn, arg);
	}
	answers_free(&answers);
	return err ?: pass_rest(model, &options, quiet, fn, arg);
}
