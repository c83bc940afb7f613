#include <stdlib.h>

#include "cli/arguments.h"
#include "tests/lib/check.h"

/* The table with commands that do nothing: the parser alone is tried. */
#define NOTHING(name)                                                \
	int name(struct cli *cli, const struct arguments *arguments) \
	{                                                            \
		(void)cli;                                           \
		(void)arguments;                                     \
		return 0;                                            \
	}
NOTHING(cmd_queue_ls)
NOTHING(cmd_queue_peek)
NOTHING(cmd_queue_pause)
NOTHING(cmd_queue_resume)
NOTHING(cmd_queue_drain)
NOTHING(cmd_job_show)
NOTHING(cmd_job_retry)
NOTHING(cmd_job_cancel)
NOTHING(cmd_job_kill)
NOTHING(cmd_dead_ls)
NOTHING(cmd_dead_show)
NOTHING(cmd_dead_replay)
NOTHING(cmd_dead_purge)
NOTHING(cmd_sync_ls)
NOTHING(cmd_sync_show)
NOTHING(cmd_sync_start)
NOTHING(cmd_sync_pause)
NOTHING(cmd_sync_run)
NOTHING(cmd_env_ls)
NOTHING(cmd_env_show)
NOTHING(cmd_env_set)
NOTHING(cmd_env_rotate_key)
NOTHING(cmd_gate_ls)
NOTHING(cmd_gate_clear)
NOTHING(cmd_webhook_ls)
NOTHING(cmd_webhook_show)
NOTHING(cmd_webhook_resend)
NOTHING(cmd_webhook_endpoints)
NOTHING(cmd_webhook_pause)
NOTHING(cmd_webhook_resume)
NOTHING(cmd_webhook_test)
NOTHING(cmd_worker_ls)
NOTHING(cmd_worker_quiet)
NOTHING(cmd_worker_release)
NOTHING(cmd_doctor)
NOTHING(cmd_rekey)
NOTHING(cmd_bench)
NOTHING(cmd_help)
NOTHING(cmd_completion)

static struct arguments arguments;
static struct sl_error error;

/* The words of line, at blanks. */
static enum sl_code
parse(const char *line)
{
	static char copy[512];
	static char *argv[32];
	char *save = NULL;
	int argc = 0;

	snprintf(copy, sizeof(copy), "sluice %s", line);
	for (char *word = strtok_r(copy, " ", &save); word != NULL;
	     word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	error.text[0] = '\0';
	return arguments_parse(argc, argv, &arguments, &error);
}

static void
check_says(const char *line, const char *text)
{
	check_int(parse(line), ==, SL_INVALID);
	if (strstr(error.text, text) == NULL)
		printf("# \"%s\" says: %s\n", line, error.text);
	check(strstr(error.text, text) != NULL);
}

static void
options_may_stand_anywhere_and_take_values_both_ways(void)
{
	check_int(parse("--json queue --dir /x peek dev --limit 5 --line=a=b"), ==, SL_OK);
	check_text(arguments.command->name, "peek");
	check_int(arguments.word_count, ==, 1);
	check_text(arguments.words[0], "dev");
	check(arguments_has(&arguments, "--json") && !arguments_has(&arguments, "--yes"));
	check_text(arguments_text(&arguments, "--dir"), "/x");
	check_text(arguments_text(&arguments, "--line"), "a=b");
	check_int(parse("queue peek -- --odd"), ==, SL_OK);
	check_text(arguments.words[0], "--odd");
	check_int(parse("doctor --help"), ==, SL_OK);
	check(arguments.help);
	check_int(parse(""), ==, SL_OK);
	check(arguments.command == NULL);
}

static void
wrong_words_are_told_with_what_was_probably_meant(void)
{
	check_says("quue ls", "did you mean queue?");
	check_says("docter", "did you mean doctor?");
	check_says("wroker ls", "did you mean worker?");
	check_says("queue puase dev", "did you mean pause?");
	check_says("queue zzz", "there are ls, peek, pause, resume, drain");
	check_says("xyzzy", "see `sluice help`");
	check_says("queue", "say what to do with queue: ls, peek, pause, resume, drain");
	check_says("job", "show, retry, cancel, kill");
	check_says("queue peek dev --limt 3", "did you mean --limit?");
	check_says("--jsn doctor", "did you mean --json?");
	check_says("doctor --line x", "there is no option --line");
	check_says("doctor --an-option-that-is-longer-than-any-that-there-could-be", "no option");
}

static void
too_few_and_too_many_words_are_errors(void)
{
	check_says("queue peek", "queue peek needs ENV");
	check_says("queue peek a b", "b is one word too many");
	check_says("doctor now", "now is one word too many; see `sluice help doctor`");
	check_says("job show", "job show needs ID");
}

static void
values_are_wanted_where_there_is_one_and_nowhere_else(void)
{
	check_says("queue peek dev --limit", "--limit needs a value: --limit N");
	check_says("queue peek dev --limit=", "--limit needs a value");
	check_says("doctor --json=yes", "--json takes no value");
}

static void
numbers_are_whole_and_within_bounds(void)
{
	static const char *const wrong[] = {"0",  "1001", "-1",  "+5",
					    "5x", "0x5",  "1e2", "99999999999999999999"};
	int64_t number = 20;
	char line[80];

	check_int(parse("queue peek dev"), ==, SL_OK);
	check_int(arguments_int(&arguments, "--limit", 1, 1000, &number, &error), ==, SL_OK);
	check_int(number, ==, 20);
	check_int(parse("queue peek dev --limit 7"), ==, SL_OK);
	check_int(arguments_int(&arguments, "--limit", 1, 1000, &number, &error), ==, SL_OK);
	check_int(number, ==, 7);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(line, sizeof(line), "queue peek dev --limit=%s", wrong[i]);
		check_int(parse(line), ==, SL_OK);
		check_int(arguments_int(&arguments, "--limit", 1, 1000, &number, &error), ==,
			  SL_INVALID);
		check(strstr(error.text, "--limit must be a whole number from 1 to 1000") != NULL);
		check_int(number, ==, 7);
	}
}

static void
the_nearest_word_is_found_by_what_fingers_do(void)
{
	static const char *const words[] = {"pause", "peek", "purge"};

	check_text(arguments_nearest("puase", words, 3), "pause");  /* swapped */
	check_text(arguments_nearest("pek", words, 3), "peek");     /* left out */
	check_text(arguments_nearest("purrge", words, 3), "purge"); /* twice */
	check_text(arguments_nearest("pu", words, 3), "purge");     /* not finished */
	check(arguments_nearest("drain", words, 3) == NULL);
	check(arguments_nearest("", words, 3) == NULL);
}

int
main(void)
{
	CHECK_RUN(options_may_stand_anywhere_and_take_values_both_ways);
	CHECK_RUN(wrong_words_are_told_with_what_was_probably_meant);
	CHECK_RUN(too_few_and_too_many_words_are_errors);
	CHECK_RUN(values_are_wanted_where_there_is_one_and_nowhere_else);
	CHECK_RUN(numbers_are_whole_and_within_bounds);
	CHECK_RUN(the_nearest_word_is_found_by_what_fingers_do);
	return check_done();
}
