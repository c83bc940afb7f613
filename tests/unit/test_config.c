#include "base/config.h"

#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/check.h"

static enum sl_code
no_spaces(const char *text, struct sl_error *error)
{
	if (strchr(text, ' ') != NULL)
		return sl_fail(error, SL_INVALID, "must have no spaces");
	return SL_OK;
}

static const struct config_row rows[] = {
    {"name", CONFIG_TEXT, "fallback", 0, 0, "What it is called.", no_spaces, CONFIG_LIVE},
    {"database_url", CONFIG_TEXT, NULL, 0, 0, "Where the ledger is.", NULL, CONFIG_SECRET},
    {"api_rate_limit", CONFIG_INT, "100", 1, 1000, "Requests in a minute.", NULL, CONFIG_LIVE},
    {"offset", CONFIG_INT, NULL, 0, 0, "Any number.", NULL, 0},
    {"key_file", CONFIG_TEXT, NULL, 0, 0, "Where a key is.", NULL, CONFIG_SECRET},
    {"standalone", CONFIG_BOOL, "false", 0, 0, "Bring Redis along.", NULL, 0},
    {"lease_time", CONFIG_SECONDS, "15s", 1000, 3600000, "How long a lease is.", NULL, 0},
    {"body_max", CONFIG_BYTES, "1MiB", 0, INT64_MAX, "Largest body.", NULL, 0},
    {.name = NULL},
};

static struct sl_error error;
static struct config *config;

/* file is the text of a file or NULL; environment and words may be NULL. */
static enum sl_code
load(const char *file, char *const *environment, int *argc, char **argv)
{
	char path[] = "/tmp/test_config.XXXXXX";
	enum sl_code code;
	int fd;

	config = NULL;
	error.text[0] = '\0';
	if (file == NULL)
		return config_load(rows, NULL, environment, argc, argv, &config, &error);
	fd = mkstemp(path);
	check(fd >= 0);
	check_int(write(fd, file, strlen(file)), ==, strlen(file));
	close(fd);
	code = config_load(rows, path, environment, argc, argv, &config, &error);
	unlink(path);
	return code;
}

static void
defaults_stand_where_nothing_is_set(void)
{
	check_int(load(NULL, NULL, NULL, NULL), ==, SL_OK);
	check_text(config_text(config, "name"), "fallback");
	check(config_text(config, "database_url") == NULL);
	check_int(config_int(config, "api_rate_limit"), ==, 100);
	check_int(config_int(config, "offset"), ==, 0);
	check(!config_bool(config, "standalone"));
	check_int(config_int(config, "lease_time"), ==, 15000);
	check_int(config_int(config, "body_max"), ==, 1048576);
	check_text(config_source(config, "name"), "default");
	config_free(config);
	config_free(NULL);
}

static void
flags_beat_the_environment_which_beats_the_file(void)
{
	char *environment[] = {"PATH=/bin", "SLUICE_API_RATE_LIMIT=20", "SLUICE_LEASE_TIME=20s",
			       NULL};
	char *argv[] = {"sluiced", "--lease-time=30", NULL};
	int argc = 2;

	check_int(
	    load("api_rate_limit = 10\nlease_time = 10s\nbody_max=10\n", environment, &argc, argv),
	    ==, SL_OK);
	check_int(config_int(config, "body_max"), ==, 10);
	check_int(config_int(config, "api_rate_limit"), ==, 20);
	check_int(config_int(config, "lease_time"), ==, 30000);
	check_text(config_source(config, "body_max"), "file");
	check_text(config_source(config, "api_rate_limit"), "environment");
	check_text(config_source(config, "lease_time"), "flag");
	config_free(config);
}

static void
the_file_takes_comments_and_any_spacing(void)
{
	check_int(load("# comment\n\n  # another\r\n\tname\t=  a#b=c  \r\ndatabase_url =\n"
		       "api_rate_limit=7",
		       NULL, NULL, NULL),
		  ==, SL_OK);
	check_text(config_text(config, "name"), "a#b=c");
	check_text(config_text(config, "database_url"), "");
	check_int(config_int(config, "api_rate_limit"), ==, 7);
	config_free(config);
}

static void
refused_in_line(const char *file, int line, const char *part)
{
	char where[20];

	check_int(load(file, NULL, NULL, NULL), ==, SL_INVALID);
	check(config == NULL);
	snprintf(where, sizeof(where), ":%d: ", line);
	if (strstr(error.text, where) == NULL || strstr(error.text, part) == NULL ||
	    strncmp(error.text, "/tmp/", 5) != 0)
		check_text(error.text, part);
}

static void
errors_name_file_line_and_setting(void)
{
	refused_in_line("\n\nwrong = 1\n", 3, "unknown setting 'wrong'");
	refused_in_line("# x\nName = 1\n", 2, "unknown setting 'Name'");
	refused_in_line("api-rate-limit = 1\n", 1, "unknown setting");
	refused_in_line("just words\n", 1, "expected 'name = value'");
	refused_in_line("= 5\n", 1, "unknown setting ''");
	refused_in_line("api_rate_limit = x\n", 1,
			"setting 'api_rate_limit': must be a whole number");
	refused_in_line("api_rate_limit = 0\n", 1, "must be from 1 to 1000");
	refused_in_line("api_rate_limit =\n", 1, "must be a whole number");
	refused_in_line("lease_time = 500ms\n", 1, "must be from 1s to 1h");
	refused_in_line("name = a b\n", 1, "setting 'name': must have no spaces");
	refused_in_line("name = a\n\nname = a\n", 3, "setting 'name' is in line 1 already");
}

static void
errors_do_not_repeat_values(void)
{
	check_int(load("lease_time = hunter2\n", NULL, NULL, NULL), ==, SL_INVALID);
	check(strstr(error.text, "hunter2") == NULL);
}

static void
a_missing_or_unreadable_file_is_an_error(void)
{
	check_int(config_load(rows, "/nonexistent/x", NULL, NULL, NULL, &config, &error), ==,
		  SL_NOT_FOUND);
	check_int(config_load(rows, "/tmp", NULL, NULL, NULL, &config, &error), ==, SL_INVALID);
	check(strstr(error.text, "/tmp") != NULL);
}

static void
unknown_names_in_the_environment_are_errors(void)
{
	char *unknown[] = {"SLUICE_RATE=1", NULL};
	char *prefix_of_one[] = {"SLUICE_NAM=1", NULL};
	char *lower_case[] = {"SLUICE_name=1", NULL};
	char *known[] = {"SLUICE_FAULT=x=kill",
			 "SLUICE_SECRET_TOKEN=y",
			 "SLUICE_ACCOUNT_KEY=z",
			 "SLUICE_OPERATOR_KEY=z",
			 "SLUICED=1",
			 "SLUICE_NAME",
			 NULL};

	check_int(load(NULL, unknown, NULL, NULL), ==, SL_INVALID);
	check(strstr(error.text, "'SLUICE_RATE'") != NULL);
	check_int(load(NULL, prefix_of_one, NULL, NULL), ==, SL_INVALID);
	check_int(load(NULL, lower_case, NULL, NULL), ==, SL_INVALID);
	check_int(load(NULL, known, NULL, NULL), ==, SL_OK);
	check_text(config_source(config, "name"), "default");
	config_free(config);
}

static void
flags_are_taken_out_of_the_words(void)
{
	char *argv[] = {
	    "sluiced", "serve", "--api-rate-limit", "5",       "--verbose",    "x", "--name=a",
	    "-n",      "--",    "--name=b",         "--wrong", "--standalone", NULL};
	static const char *const left[] = {"sluiced", "serve",    "--verbose", "x",           "-n",
					   "--",      "--name=b", "--wrong",   "--standalone"};
	int argc = 12;

	check_int(load(NULL, NULL, &argc, argv), ==, SL_OK);
	check_int(argc, ==, 9);
	for (int i = 0; i < argc; i++)
		check_text(argv[i], left[i]);
	check(argv[9] == NULL);
	check_text(config_text(config, "name"), "a");
	check_int(config_int(config, "api_rate_limit"), ==, 5);
	check(!config_bool(config, "standalone"));
	config_free(config);
}

static void
a_bare_flag_is_true(void)
{
	char *argv[] = {"sluiced", "--standalone", "serve", NULL};
	char *off[] = {"sluiced", "--standalone", "off", NULL};
	char *equals[] = {"sluiced", "--standalone=NO", NULL};
	char *last[] = {"sluiced", "--standalone", NULL};
	int argc = 3;

	check_int(load(NULL, NULL, &argc, argv), ==, SL_OK);
	check(config_bool(config, "standalone"));
	check_int(argc, ==, 2);
	check_text(argv[1], "serve");
	config_free(config);
	argc = 3;
	check_int(load(NULL, NULL, &argc, off), ==, SL_OK);
	check(!config_bool(config, "standalone"));
	check_int(argc, ==, 1);
	config_free(config);
	argc = 2;
	check_int(load(NULL, NULL, &argc, equals), ==, SL_OK);
	check(!config_bool(config, "standalone"));
	config_free(config);
	argc = 2;
	check_int(load(NULL, NULL, &argc, last), ==, SL_OK);
	check(config_bool(config, "standalone"));
	config_free(config);
}

static void
one_bad_flag_changes_nothing(void)
{
	char *argv[] = {"sluiced", "--name=a", "--api-rate-limit=many", NULL};
	char *missing[] = {"sluiced", "--name=a", "--lease-time", NULL};
	int argc = 3;

	check_int(load(NULL, NULL, &argc, argv), ==, SL_INVALID);
	check(config == NULL);
	check_int(argc, ==, 3);
	check_text(argv[1], "--name=a");
	check(strstr(error.text, "--api-rate-limit: ") != NULL);
	check_int(load(NULL, NULL, &argc, missing), ==, SL_INVALID);
	check_text(error.text, "--lease-time: a value is missing");
	check_int(argc, ==, 3);
}

#define REFUSED INT64_MIN

struct reading {
	const char *text;
	int64_t number; /* or REFUSED */
};

/* The number is not bounded by a row. */
static void
check_readings(enum config_type type, const struct reading *readings)
{
	const struct config_row table[] = {{"t", type, NULL, 0, 0, "", NULL, 0}, {.name = NULL}};
	char word[100];

	for (; readings->text != NULL; readings++) {
		char *argv[] = {"x", word, NULL};
		int argc = 2;
		enum sl_code code;

		snprintf(word, sizeof(word), "--t=%s", readings->text);
		code = config_load(table, NULL, NULL, &argc, argv, &config, &error);
		check_int(code, ==, readings->number == REFUSED ? SL_INVALID : SL_OK);
		if (code == SL_OK)
			check_int(config_int(config, "t"), ==, readings->number);
		config_free(config);
	}
}

static void
durations_are_kept_in_milliseconds(void)
{
	static const struct reading readings[] = {{"500ms", 500},
						  {"15s", 15000},
						  {"5m", 300000},
						  {"2h", 7200000},
						  {"7d", 604800000},
						  {"90", 90000},
						  {"0", 0},
						  {"-5s", REFUSED},
						  {"1.5s", REFUSED},
						  {"s", REFUSED},
						  {"", REFUSED},
						  {"5 s", REFUSED},
						  {"5w", REFUSED},
						  {"5ss", REFUSED},
						  {"1e3", REFUSED},
						  {"0x10", REFUSED},
						  {"106751991167d", 9223372036828800000},
						  {"106751991168d", REFUSED},
						  {"99999999999999999999", REFUSED},
						  {NULL, 0}};

	check_readings(CONFIG_SECONDS, readings);
}

static void
sizes_are_powers_of_two(void)
{
	static const struct reading readings[] = {{"64k", 65536},
						  {"64KiB", 65536},
						  {"128MiB", 134217728},
						  {"1g", 1073741824},
						  {"1G", 1073741824},
						  {"2TiB", INT64_C(2) << 40},
						  {"10", 10},
						  {"0", 0},
						  {"64kB", REFUSED},
						  {"64kb", REFUSED},
						  {"8388608TiB", REFUSED},
						  {"-1", REFUSED},
						  {"9223372036854775807", INT64_MAX},
						  {"9223372036854775808", REFUSED},
						  {NULL, 0}};

	check_readings(CONFIG_BYTES, readings);
}

static void
whole_numbers_may_be_negative(void)
{
	char *argv[] = {"x", "--offset", "-9223372036854775808", NULL};
	int argc = 3;

	check_int(load(NULL, NULL, &argc, argv), ==, SL_OK);
	check(config_int(config, "offset") == INT64_MIN);
	config_free(config);
}

static void
switches_take_eight_words(void)
{
	static const char *const words[] = {"false", "true", "0", "1", "no", "yes", "Off", "ON"};
	char word[100];
	char *argv[] = {"x", word, NULL};
	int argc;

	for (size_t i = 0; i < 8; i++) {
		argc = 2;
		argv[1] = word;
		snprintf(word, sizeof(word), "--standalone=%s", words[i]);
		check_int(load(NULL, NULL, &argc, argv), ==, SL_OK);
		check_int(config_bool(config, "standalone"), ==, i % 2);
		config_free(config);
	}
	argc = 2;
	argv[1] = word;
	snprintf(word, sizeof(word), "--standalone=2");
	check_int(load(NULL, NULL, &argc, argv), ==, SL_INVALID);
}

static void
a_wrong_default_is_a_bug(void)
{
	static const struct config_row table[] = {{"t", CONFIG_INT, "x", 0, 0, "", NULL, 0},
						  {.name = NULL}};

	check_int(config_load(table, NULL, NULL, NULL, NULL, &config, &error), ==, SL_INTERNAL);
	check(config == NULL);
}

static void
help_has_a_line_per_setting_and_its_default(void)
{
	struct buf out;

	buf_init(&out, 10000);
	config_help(rows, &out);
	check(strstr(out.data,
		     "  --api-rate-limit=NUMBER\n      Requests in a minute. (default: 100)\n"));
	check(strstr(out.data, "  --database-url=TEXT\n      Where the ledger is.\n"));
	buf_fini(&out);
}

/* ---- changes while we run -------------------------------------------------------------------- */

static char changes[200];

static void
on_change(void *arg, const struct config_row *row, bool applied)
{
	(void)arg;
	snprintf(changes + strlen(changes), sizeof(changes) - strlen(changes), "%s%s ",
		 applied ? "" : "!", row->name);
}

/* How many values differ from what the file would give now. */
static int
change(struct config *running, const char *file)
{
	int count;

	changes[0] = '\0';
	check_int(load(file, NULL, NULL, NULL), ==, SL_OK);
	count = config_apply(running, config, on_change, NULL);
	config_free(config);
	return count;
}

static void
only_live_settings_change_and_all_that_differ_are_told(void)
{
	struct config *running;

	check_int(load("name = a\nlease_time = 10s\n", NULL, NULL, NULL), ==, SL_OK);
	running = config;
	check_int(change(running, "name = b\nlease_time = 20s\napi_rate_limit = 7\n"), ==, 3);
	check_text(changes, "name api_rate_limit !lease_time ");
	check_text(config_text(running, "name"), "b");
	check_int(config_int(running, "api_rate_limit"), ==, 7);
	check_text(config_source(running, "api_rate_limit"), "file");
	check_int(config_int(running, "lease_time"), ==, 10000);
	check_int(change(running, ""), ==, 3); /* back to the defaults */
	check_text(config_text(running, "name"), "fallback");
	check_int(config_int(running, "api_rate_limit"), ==, 100);
	check_text(config_source(running, "api_rate_limit"), "default");
	config_free(running);
}

static void
another_spelling_of_a_number_is_no_change(void)
{
	struct config *running;

	check_int(load("lease_time = 60s\noffset = 0\n", NULL, NULL, NULL), ==, SL_OK);
	running = config;
	check_int(change(running, "lease_time = 1m\noffset = 00\n"), ==, 0);
	check_int(change(running, "lease_time = 1m\n"), ==, 1); /* 0 is not unset */
	check_text(changes, "!offset ");
	config_free(running);
}

static void
a_borrowed_text_outlives_its_change(void)
{
	struct config *running;
	const char *first, *second;

	check_int(load("name = first\n", NULL, NULL, NULL), ==, SL_OK);
	running = config;
	first = config_text(running, "name");
	check_int(change(running, "name = second\n"), ==, 1);
	second = config_text(running, "name");
	check_int(change(running, "name = third\n"), ==, 1);
	check_text(first, "first");
	check_text(second, "second");
	check_text(config_text(running, "name"), "third");
	config_free(running);
}

/* ---- credentials ----------------------------------------------------------------------------- */

static char folder[64], variable[100];
static char *given[] = {variable, NULL};

static void
credential(const char *name, const char *text, size_t len)
{
	char path[128];
	FILE *file;

	if (folder[0] == '\0') {
		snprintf(folder, sizeof(folder), "/tmp/test_config.XXXXXX");
		check(mkdtemp(folder) != NULL);
		snprintf(variable, sizeof(variable), "CREDENTIALS_DIRECTORY=%s", folder);
	}
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	check(file != NULL);
	check_int(fwrite(text, 1, len, file), ==, len);
	check_int(fclose(file), ==, 0);
}

static void
forget_credential(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	check_int(unlink(path), ==, 0);
}

static void
a_credential_beats_the_file_and_loses_to_the_environment(void)
{
	char *both[] = {variable, "SLUICE_DATABASE_URL=host=environment", NULL};

	credential("database_url", " host=credential \n", 18);
	credential("api_rate_limit", "5", 1); /* no secret */
	credential("of_another_program", "", 0);
	check_int(load("database_url = host=file\n", given, NULL, NULL), ==, SL_OK);
	check_text(config_text(config, "database_url"), "host=credential");
	check_text(config_source(config, "database_url"), "credential");
	check_int(config_int(config, "api_rate_limit"), ==, 100);
	config_free(config);
	check_int(load(NULL, both, NULL, NULL), ==, SL_OK);
	check_text(config_text(config, "database_url"), "host=environment");
	config_free(config);
	forget_credential("api_rate_limit");
	forget_credential("of_another_program");
	forget_credential("database_url");
	check_int(load("database_url = host=file\n", given, NULL, NULL), ==, SL_OK);
	check_text(config_text(config, "database_url"), "host=file");
	config_free(config);
}

static void
a_credential_for_a_file_is_the_file(void)
{
	char expected[128];

	credential("key", "content", 7);
	check_int(load(NULL, given, NULL, NULL), ==, SL_OK);
	snprintf(expected, sizeof(expected), "%s/key", folder);
	check_text(config_text(config, "key_file"), expected);
	config_free(config);
	forget_credential("key");
}

static void
a_credential_without_a_value_is_named_and_never_quoted(void)
{
	static const struct {
		const char *text;
		size_t len;
		const char *why;
	} bad[] = {{"", 0, "is empty"}, {" \n", 2, "is empty"}, {"geheim\0x", 8, "NUL"}};
	char *nowhere[] = {"CREDENTIALS_DIRECTORY=/nonexistent/credentials", NULL};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		credential("database_url", bad[i].text, bad[i].len);
		check_int(load(NULL, given, NULL, NULL), ==, SL_INVALID);
		check(strstr(error.text, folder) != NULL);
		check(strstr(error.text, bad[i].why) != NULL);
		check(strstr(error.text, "geheim") == NULL);
	}
	forget_credential("database_url");
	check_int(load(NULL, nowhere, NULL, NULL), ==, SL_INVALID);
	check(strstr(error.text, "/nonexistent/credentials") != NULL);
	check_int(rmdir(folder), ==, 0);
}

int
main(void)
{
	CHECK_RUN(defaults_stand_where_nothing_is_set);
	CHECK_RUN(flags_beat_the_environment_which_beats_the_file);
	CHECK_RUN(the_file_takes_comments_and_any_spacing);
	CHECK_RUN(errors_name_file_line_and_setting);
	CHECK_RUN(errors_do_not_repeat_values);
	CHECK_RUN(a_missing_or_unreadable_file_is_an_error);
	CHECK_RUN(unknown_names_in_the_environment_are_errors);
	CHECK_RUN(flags_are_taken_out_of_the_words);
	CHECK_RUN(a_bare_flag_is_true);
	CHECK_RUN(one_bad_flag_changes_nothing);
	CHECK_RUN(durations_are_kept_in_milliseconds);
	CHECK_RUN(sizes_are_powers_of_two);
	CHECK_RUN(whole_numbers_may_be_negative);
	CHECK_RUN(switches_take_eight_words);
	CHECK_RUN(a_wrong_default_is_a_bug);
	CHECK_RUN(help_has_a_line_per_setting_and_its_default);
	CHECK_RUN(only_live_settings_change_and_all_that_differ_are_told);
	CHECK_RUN(another_spelling_of_a_number_is_no_change);
	CHECK_RUN(a_borrowed_text_outlives_its_change);
	CHECK_RUN(a_credential_beats_the_file_and_loses_to_the_environment);
	CHECK_RUN(a_credential_for_a_file_is_the_file);
	CHECK_RUN(a_credential_without_a_value_is_named_and_never_quoted);
	return check_done();
}
