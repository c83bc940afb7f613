/* A connection that a pooler may give another server for each transaction; servers that do not answer. */
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "sql/unit.h"
#include "tests/integration/sql_rig.h"

#define MANY 200

static const struct unit_statement told = {
    "told",
    "SELECT current_setting('statement_timeout') || ' ' || current_setting('synchronous_commit')"
    " || ' ' || current_setting('enable_seqscan') || ' ' || current_setting('application_name')"};
static const struct unit_statement prepared = {
    NULL, "SELECT (SELECT count(*) FROM pg_prepared_statements)::text"};
static const struct unit_statement divide = {"divide", "SELECT (12 / $1::bigint)::bigint::text"};

static struct pg *pg;
static struct {
	int calls, bad;
	enum sl_code code;
	int results;
	char text[256];
} got;

static void
on_text(void *arg, const struct unit_answer *answer)
{
	(void)arg;
	got.calls++;
	got.code = answer->code;
	got.results = answer->count;
	if (answer->code == SL_OK)
		snprintf(got.text, sizeof(got.text), "%s",
			 PQgetvalue(answer->results[answer->count - 1], 0, 0));
	else
		snprintf(got.text, sizeof(got.text), "%s", answer->error.text);
}

static void
ask(const struct unit_statement *statement)
{
	struct unit *unit = unit_new();

	memset(&got, 0, sizeof(got));
	unit_add(unit, statement);
	unit_send(unit, pg, UNIT_WAIT_MS, on_text, NULL);
	rig_until(got.calls == 1);
}

/* The server's side of the connection, by a session of its own. */
static void
check_session_is_bare(void)
{
	ask(&prepared);
	check_text(got.text, "0");
}

static void
each_unit_has_its_settings_and_leaves_nothing_in_the_session(void)
{
	char text[128];

	snprintf(text, sizeof(text), "ALTER DATABASE %s SET synchronous_commit = off", rig_database);
	rig_sql(text);
	rig_cut("sluiced");
	rig_until(!pg_is_up(pg));
	rig_until(pg_is_up(pg));
	ask(&told);
	check_text(got.text, "8s on off sluiced");
	check_int(got.results, ==, 1);
	check_session_is_bare();
}

static void
on_quotient(void *arg, const struct unit_answer *answer)
{
	int64_t divisor = (int64_t)(intptr_t)arg;
	char expected[24];

	got.calls++;
	if (divisor == 0) {
		got.bad +=
		    answer->code != SL_INVALID || answer->results != NULL || answer->in_doubt;
		return;
	}
	snprintf(expected, sizeof(expected), "%d", (int)(12 / divisor));
	got.bad += answer->code != SL_OK || answer->count != 2 ||
		   strcmp(PQgetvalue(answer->results[1], 0, 0), expected) != 0;
}

static void
units_that_are_under_way_together_get_their_own_answers_and_a_failure_is_its_own(void)
{
	memset(&got, 0, sizeof(got));
	for (int i = 0; i < MANY; i++) {
		struct unit *unit = unit_new();

		unit_add(unit, &told);
		unit_add(unit, &divide);
		unit_bind_int(unit, i % 7);
		unit_send(unit, pg, UNIT_WAIT_MS, on_quotient, (void *)(intptr_t)(i % 7));
	}
	rig_until(got.calls == MANY);
	check_int(got.bad, ==, 0);
	check_session_is_bare();
}

static void
a_lost_connection_leaves_what_was_sent_in_doubt_and_the_next_unit_runs(void)
{
	static const struct unit_statement slow = {NULL, "SELECT pg_sleep(20)::text"};
	struct unit *unit = unit_new();

	memset(&got, 0, sizeof(got));
	unit_add(unit, &slow);
	unit_send(unit, pg, UNIT_WAIT_MS, on_text, NULL);
	rig_turns(200);
	check_int(rig_cut("sluiced"), ==, 1);
	rig_until(got.calls == 1);
	check_int(got.code, ==, SL_UNAVAILABLE);
	ask(&told);
	check_int(got.code, ==, SL_OK);
}

/* It accepts connections and never says anything. */
static int
mute_server(const char *folder, int port)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.%d", folder, port);
	rig_must(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		     listen(fd, 16) == 0,
		 "no mute server");
	return fd;
}

static void
a_server_that_says_nothing_is_left_for_the_next_one(void)
{
	char folder[] = "/tmp/sluice-mute-XXXXXX", path[80], hosts[400];
	struct pg_settings settings = {hosts, "sluiced next", false, 0, false};
	int port = atoi(PQport(rig_direct)), fd;
	struct pg *next;

	rig_must(mkdtemp(folder) != NULL, "no folder");
	fd = mute_server(folder, port);
	snprintf(hosts, sizeof(hosts), "host=%s,%s,%s port=%d user=%s dbname=%s", folder,
		 PQhost(rig_direct), folder, port, PQuser(rig_direct), rig_database);
	next = pg_new(rig_loop, &settings, NULL, NULL);
	rig_until(pg_is_up(next));
	rig_cut("sluiced next");
	rig_until(!pg_is_up(next));
	rig_until(pg_is_up(next)); /* it begins with the one that answered, so at once */
	pg_free(next);
	close(fd);
	snprintf(path, sizeof(path), "%s/.s.PGSQL.%d", folder, port);
	check_int(unlink(path), ==, 0);
	check_int(rmdir(folder), ==, 0);
}

int
main(void)
{
	struct pg_settings settings = {NULL, "sluiced pooled", true, 0, true};

	rig_start();
	settings.conninfo = rig_conninfo;
	pg = pg_new(rig_loop, &settings, NULL, NULL);
	rig_until(pg_is_up(pg));
	CHECK_RUN(each_unit_has_its_settings_and_leaves_nothing_in_the_session);
	CHECK_RUN(units_that_are_under_way_together_get_their_own_answers_and_a_failure_is_its_own);
	CHECK_RUN(a_lost_connection_leaves_what_was_sent_in_doubt_and_the_next_unit_runs);
	CHECK_RUN(a_server_that_says_nothing_is_left_for_the_next_one);
	pg_free(pg);
	rig_stop();
	return check_done();
}
