/* cli/arguments.h - what stood on the command line, checked against the table of commands.
 *
 * Options may stand anywhere, as --name VALUE or --name=VALUE; `--` ends them.  Nothing is guessed:
 * an unknown word is an error that names the nearest known one. */
#ifndef SLUICE_CLI_ARGUMENTS_H
#define SLUICE_CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "cli/command.h"

struct arguments {
	const struct command *command; /* NULL: none was named */
	bool help, version;
	const char
	    *words[COMMAND_WORDS_MAX]; /* behind the command; borrowed from argv, as values */
	int word_count;
	const char *value[COMMAND_OPTIONS_MAX];  /* by row of command->options; a switch has "" */
	const char *global[COMMAND_OPTIONS_MAX]; /* by row of command_globals */
};

/* SL_INVALID: error says what is wrong and what was probably meant. */
SL_MUST_USE enum sl_code arguments_parse(int argc, char **argv, struct arguments *out,
					 struct sl_error *error);
/* Value of an option of the command or of all commands; NULL: not given.  name is in the table. */
const char *arguments_text(const struct arguments *arguments, const char *name);
bool arguments_has(const struct arguments *arguments, const char *name);
/* A whole number from min to max; out keeps its value when the option is not given. */
SL_MUST_USE enum sl_code arguments_int(const struct arguments *arguments, const char *name,
				       int64_t min, int64_t max, int64_t *out,
				       struct sl_error *error);

/* The one of count candidates that word was probably meant to be, or NULL.  Letters changed, added,
 * left out and swapped count; a third of the word may be wrong. */
const char *arguments_nearest(const char *word, const char *const *candidates, int count);

#endif
