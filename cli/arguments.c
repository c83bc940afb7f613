#include "cli/arguments.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 32, CANDIDATES_MAX = 64 };

/* ---- what was probably meant ------------------------------------------------------------------ */

static int
least(int a, int b)
{
	return a < b ? a : b;
}

/* Damerau's distance with adjacent swaps only; both are at most WORD_MAX long. */
static int
distance(const char *a, const char *b)
{
	int row[3][WORD_MAX + 1];
	int len_a = (int)strlen(a), len_b = (int)strlen(b);

	for (int j = 0; j <= len_b; j++)
		row[0][j] = j;
	for (int i = 1; i <= len_a; i++) {
		int *now = row[i % 3], *before = row[(i + 2) % 3];
		const int *two_before = row[(i + 1) % 3];

		now[0] = i;
		for (int j = 1; j <= len_b; j++) {
			now[j] = least(least(before[j] + 1, now[j - 1] + 1),
				       before[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], two_before[j - 2] + 1);
		}
	}
	return row[len_a % 3][len_b];
}

const char *
arguments_nearest(const char *word, const char *const *candidates, int count)
{
	size_t len = strlen(word);
	const char *best = NULL;
	int best_distance;

	if (len > WORD_MAX)
		return NULL;
	best_distance = (int)(len + 2) / 3 + 1;
	for (int i = 0; i < count; i++) {
		int far;

		if (strlen(candidates[i]) > WORD_MAX)
			continue;
		far = distance(word, candidates[i]);
		if (len >= 2 && strncmp(candidates[i], word, len) == 0)
			far = least(far, 1); /* begun, not finished */
		if (far < best_distance) {
			best = candidates[i];
			best_distance = far;
		}
	}
	return best;
}

static enum sl_code
fail_unknown(const char *kind, const char *word, const char *in, const char *const *candidates,
	     int count, const char *see, struct sl_error *error)
{
	const char *near = arguments_nearest(word, candidates, count);

	if (near != NULL)
		return sl_fail(error, SL_INVALID, "there is no %s %.40s%s; did you mean %s?", kind,
			       word, in, near);
	return sl_fail(error, SL_INVALID, "there is no %s %.40s%s; see `%s`", kind, word, in, see);
}

/* ---- options ---------------------------------------------------------------------------------- */

/* Row of the option whose name is the first len bytes of text; -1: none. */
static int
option_find(const struct command_option *rows, const char *text, size_t len)
{
	for (int i = 0; rows != NULL && rows[i].name != NULL; i++)
		if (strlen(rows[i].name) == len && strncmp(rows[i].name, text, len) == 0)
			return i;
	return -1;
}

static enum sl_code
fail_option(const struct command *command, const char *text, size_t len, struct sl_error *error)
{
	const char *names[CANDIDATES_MAX];
	char word[WORD_MAX + 1] = "";
	int count = 0;

	if (len <= WORD_MAX)
		memcpy(word, text, len);
	for (int i = 0; command_globals[i].name != NULL; i++)
		names[count++] = command_globals[i].name;
	for (int i = 0; command != NULL && command->options != NULL &&
			command->options[i].name != NULL && count < CANDIDATES_MAX;
	     i++)
		names[count++] = command->options[i].name;
	return fail_unknown("option", len <= WORD_MAX ? word : text, "", names, count,
			    "sluice help", error);
}

/* Takes argv[*at], an option, and maybe the value behind it. */
static enum sl_code
take_option(struct arguments *out, int argc, char **argv, int *at, struct sl_error *error)
{
	const struct command_option *rows = command_globals;
	const char *text = argv[*at], *equals = strchr(text, '='), *value;
	size_t len = equals != NULL ? (size_t)(equals - text) : strlen(text);
	const char **values = out->global;
	int row = option_find(rows, text, len);

	if (row < 0 && out->command != NULL) {
		rows = out->command->options;
		values = out->value;
		row = option_find(rows, text, len);
	}
	if (row < 0)
		return fail_option(out->command, text, len, error);
	if (rows[row].value == NULL && equals != NULL)
		return sl_fail(error, SL_INVALID, "%s takes no value", rows[row].name);
	value = rows[row].value == NULL ? "" : equals != NULL ? equals + 1 : NULL;
	if (value == NULL && *at + 1 < argc)
		value = argv[++*at];
	if (value == NULL || (rows[row].value != NULL && value[0] == '\0'))
		return sl_fail(error, SL_INVALID, "%s needs a value: %s %s", rows[row].name,
			       rows[row].name, rows[row].value);
	values[row] = value;
	return SL_OK;
}

/* ---- the command ------------------------------------------------------------------------------ */

static bool
is_group(const char *word)
{
	for (const struct command *c = commands; c->name != NULL; c++)
		if (c->group != NULL && strcmp(c->group, word) == 0)
			return true;
	return false;
}

static const struct command *
command_find(const char *group, const char *name)
{
	for (const struct command *c = commands; c->name != NULL; c++)
		if ((group == NULL) == (c->group == NULL) &&
		    (group == NULL || strcmp(c->group, group) == 0) && strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

/* Names that may stand first (group NULL), or behind group. */
static int
list_names(const char *group, const char **names)
{
	int count = 0;

	for (const struct command *c = commands; c->name != NULL && count < CANDIDATES_MAX; c++) {
		const char *name = c->name;

		if (group != NULL && (c->group == NULL || strcmp(c->group, group) != 0))
			continue;
		if (group == NULL && c->group != NULL)
			name = c->group;
		if (count == 0 || strcmp(names[count - 1], name) != 0)
			names[count++] = name;
	}
	return count;
}

static enum sl_code
fail_command(const char *group, const char *word, struct sl_error *error)
{
	const char *names[CANDIDATES_MAX];
	char list[160] = "", in[48] = "";
	int count = list_names(group, names);

	if (word != NULL && group == NULL)
		return fail_unknown("command", word, "", names, count, "sluice help", error);
	for (int i = 0; i < count; i++) {
		size_t used = strlen(list);

		snprintf(list + used, sizeof(list) - used, "%s%s", i > 0 ? ", " : "", names[i]);
	}
	if (word == NULL)
		return sl_fail(error, SL_INVALID, "say what to do with %s: %s", group, list);
	snprintf(in, sizeof(in), " of %s", group);
	if (arguments_nearest(word, names, count) == NULL)
		return sl_fail(error, SL_INVALID, "there is no command %.40s%s; there are %s", word,
			       in, list);
	return fail_unknown("command", word, in, names, count, "sluice help", error);
}

/* A word that is no option: of the command's name, or for it. */
static enum sl_code
take_word(struct arguments *out, const char **group, const char *word, struct sl_error *error)
{
	if (out->command == NULL && *group == NULL && is_group(word)) {
		*group = word;
		return SL_OK;
	}
	if (out->command == NULL) {
		out->command = command_find(*group, word);
		return out->command != NULL ? SL_OK : fail_command(*group, word, error);
	}
	if (out->word_count == out->command->max)
		return sl_fail(
		    error, SL_INVALID, "%.60s is one word too many; see `sluice help %s%s%s`", word,
		    *group != NULL ? *group : "", *group != NULL ? " " : "", out->command->name);
	out->words[out->word_count++] = word;
	return SL_OK;
}

static enum sl_code
check_words(const struct arguments *out, const char *group, struct sl_error *error)
{
	const struct command *command = out->command;

	if (out->help || out->version)
		return SL_OK;
	if (command == NULL && group != NULL)
		return fail_command(group, NULL, error);
	if (command != NULL && out->word_count < command->min)
		return sl_fail(error, SL_INVALID, "%s%s%s needs %s; see `sluice help %s%s%s`",
			       group != NULL ? group : "", group != NULL ? " " : "", command->name,
			       command->words, group != NULL ? group : "", group != NULL ? " " : "",
			       command->name);
	return SL_OK;
}

enum sl_code
arguments_parse(int argc, char **argv, struct arguments *out, struct sl_error *error)
{
	const char *group = NULL;
	enum sl_code code = SL_OK;
	bool options = true;

	*out = (struct arguments){0};
	for (int i = 1; i < argc && code == SL_OK; i++) {
		if (options && strcmp(argv[i], "--") == 0)
			options = false;
		else if (options && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0))
			out->help = true;
		else if (options && strcmp(argv[i], "--version") == 0)
			out->version = true;
		else if (options && argv[i][0] == '-' && argv[i][1] != '\0')
			code = take_option(out, argc, argv, &i, error);
		else
			code = take_word(out, &group, argv[i], error);
	}
	return code == SL_OK ? check_words(out, group, error) : code;
}

/* ---- values ----------------------------------------------------------------------------------- */

const char *
arguments_text(const struct arguments *arguments, const char *name)
{
	int row = option_find(command_globals, name, strlen(name));

	if (row >= 0)
		return arguments->global[row];
	row = arguments->command == NULL
		  ? -1
		  : option_find(arguments->command->options, name, strlen(name));
	assert(row >= 0); /* a command asks for what its row has */
	return arguments->value[row];
}

bool
arguments_has(const struct arguments *arguments, const char *name)
{
	return arguments_text(arguments, name) != NULL;
}

enum sl_code
arguments_int(const struct arguments *arguments, const char *name, int64_t min, int64_t max,
	      int64_t *out, struct sl_error *error)
{
	const char *text = arguments_text(arguments, name);
	long long number;
	char *end;

	if (text == NULL)
		return SL_OK;
	errno = 0;
	number = strtoll(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < min ||
	    number > max)
		return sl_fail(error, SL_INVALID, "%s must be a whole number from %lld to %lld",
			       name, (long long)min, (long long)max);
	*out = number;
	return SL_OK;
}
