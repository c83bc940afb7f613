#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/lib/check.h"

static char line[20000];

/* stderr goes to a file from capture_start() to capture_end(), which leaves its bytes in line. */
static int kept_stderr = -1, capture = -1;

static void
capture_start(void)
{
	char path[] = "/tmp/test_log.XXXXXX";

	fflush(stderr);
	capture = mkstemp(path);
	unlink(path);
	kept_stderr = dup(STDERR_FILENO);
	dup2(capture, STDERR_FILENO);
	clock_test_set(0, 1764821520123);
}

static void
capture_end(void)
{
	ssize_t len = pread(capture, line, sizeof(line) - 1, 0);

	clock_test_clear();
	dup2(kept_stderr, STDERR_FILENO);
	close(kept_stderr);
	close(capture);
	line[len > 0 ? len : 0] = '\0';
}

static void
an_event_is_one_line_of_pairs(void)
{
	capture_start();
	log_info("worker_lost", "worker=%d name=%s", 7, log_text("a \"b\" \\"));
	log_warn("bare", NULL);
	capture_end();
	check_text(line, "2025-12-04T04:12:00.123Z level=info msg=\"worker_lost\" worker=7 "
			 "name=\"a \\\"b\\\" \\\\\"\n"
			 "2025-12-04T04:12:00.123Z level=warn msg=\"bare\"\n");
}

static void
levels_below_the_set_one_are_silent(void)
{
	check_int(log_get_level(), ==, LOG_LEVEL_INFO);
	capture_start();
	log_debug("hidden", NULL);
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("hidden", NULL);
	log_error("shown", NULL);
	log_set_level(LOG_LEVEL_INFO);
	capture_end();
	check(strstr(line, "hidden") == NULL);
	check(strstr(line, "level=error msg=\"shown\"\n") != NULL);
}

static void
no_value_can_end_the_line_or_drive_a_terminal(void)
{
	capture_start();
	log_info("x", "v=%s w=%s", "a\nlevel=error\x1b[2J\x7F\xC2\x9B\xFF",
		 log_text("b\r\n\xC3\xA4\xF0\x9F"));
	capture_end();
	check(strstr(line, " v=a\\nlevel=error\\x1b[2J\\x7f\\xc2\\x9b\\xff w=\"b\\x0d\\n\xC3\xA4"
			   "\\xf0\\x9f\"\n") != NULL);
	check(strchr(line, '\n') == strrchr(line, '\n'));
}

static void
long_lines_and_texts_are_cut(void)
{
	char *text = malloc(20001);

	for (int fill = 0; fill < 2; fill++) {
		memset(text, fill ? '\x01' : 'x', 20000);
		text[20000] = '\0';
		check_int(strlen(log_text(text)), <=, 500);
		check_int(strlen(log_text(text)), >, 480);
		check(strstr(log_text(text), "...\"") != NULL);
		capture_start();
		log_info("x", "%s", text);
		capture_end();
		check_int(strlen(line), <=, 8192);
		check_int(strlen(line), >, 8100);
		check_int(line[strlen(line) - 1], ==, '\n');
	}
	free(text);
}

static void
several_texts_fit_one_call(void)
{
	const char *first = log_text("one");

	for (int i = 0; i < 7; i++)
		log_text("other");
	check_text(first, "\"one\"");
	check_text(log_text(NULL), "\"\"");
}

static void
logging_keeps_errno(void)
{
	capture_start();
	errno = EPIPE;
	log_info("x", NULL);
	capture_end();
	check_int(errno, ==, EPIPE);
}

int
main(void)
{
	unsetenv("JOURNAL_STREAM");
	CHECK_RUN(an_event_is_one_line_of_pairs);
	CHECK_RUN(levels_below_the_set_one_are_silent);
	CHECK_RUN(no_value_can_end_the_line_or_drive_a_terminal);
	CHECK_RUN(long_lines_and_texts_are_cut);
	CHECK_RUN(several_texts_fit_one_call);
	CHECK_RUN(logging_keeps_errno);
	return check_done();
}
