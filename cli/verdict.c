#include "cli/verdict.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/print.h"
#include "cli/trouble.h"

/* ---- made here -------------------------------------------------------------------------------- */

void
verdict_check(struct json_writer *w, const char *name, const char *state, const char *text,
	      const char *cause, const char *remedy)
{
	if (w == NULL)
		return;
	jw_object(w);
	jw_member_text(w, "name", name);
	jw_member_text(w, "state", state);
	jw_member_text(w, "text", text);
	jw_member_text(w, "cause", cause != NULL && cause[0] != '\0' ? cause : NULL);
	jw_member_text(w, "remedy", remedy != NULL && remedy[0] != '\0' ? remedy : NULL);
	jw_member_text(w, "runbook", NULL);
	jw_object_end(w);
}

void
verdict_make(const struct cli *cli, const struct trouble *trouble, const char *verdict,
	     struct buf *out)
{
	struct json_writer w;

	jw_init(&w, out);
	jw_object(&w);
	jw_member_text(&w, "verdict", verdict);
	jw_member_text(&w, "node", NULL);
	jw_member_text(&w, "version", NULL);
	jw_key(&w, "checks");
	jw_array(&w);
	verdict_check(&w, trouble->check, "fail", trouble->text, trouble->cause,
		      cli->target.directory != NULL && strcmp(trouble->check, "network") == 0
			  ? "see what its directory shows, which is told with this"
			  : trouble->remedy);
	if (cli->target.directory != NULL)
		(void)verdict_directory(cli->target.directory, &w);
	jw_array_end(&w);
	jw_object_end(&w);
}

/* The third field of /proc/PID/stat, behind a name that may hold anything; 0: no such process. */
static char
process_state(long pid, char name[32])
{
	char *path = sl_asprintf("/proc/%ld/stat", pid), text[512];
	FILE *file = fopen(path, "re");
	size_t len = file != NULL ? fread(text, 1, sizeof(text) - 1, file) : 0;
	const char *from, *to;

	free(path);
	if (file != NULL)
		fclose(file);
	text[len] = '\0';
	from = strchr(text, '(');
	to = strrchr(text, ')');
	if (from == NULL || to == NULL || to < from || to[1] != ' ')
		return '\0';
	snprintf(name, 32, "%.*s", (int)(to - from - 1), from + 1);
	return to[2];
}

static long
read_pid(const char *directory)
{
	char *path = sl_asprintf("%s/sluiced.pid", directory);
	FILE *file = fopen(path, "re");
	long pid = 0;

	free(path);
	if (file == NULL)
		return 0;
	if (fscanf(file, "%ld", &pid) != 1)
		pid = 0;
	fclose(file);
	return pid;
}

static void
running_check(struct json_writer *w, const char *directory, long pid, char state)
{
	char text[120], cause[200] = "", remedy[300] = "";

	snprintf(text, sizeof(text), "process %ld runs on this directory (state %c)", pid, state);
	if (state == 'T' || state == 't') {
		snprintf(cause, sizeof(cause),
			 "it was stopped by a signal (SIGSTOP, or a debugger)");
		snprintf(remedy, sizeof(remedy), "kill -CONT %ld", pid);
	} else if (state == 'D') {
		snprintf(cause, sizeof(cause), "it waits for a disk or a network file system");
		snprintf(remedy, sizeof(remedy), "look at the disk: dmesg, df -h, iostat");
	} else {
		snprintf(
		    cause, sizeof(cause),
		    "it is starting, stopping or stuck, or listens on another address than keys.env says");
		snprintf(remedy, sizeof(remedy),
			 "look at the end of its log (%.120s/log/), and "
			 "`ss -ltnp | grep pid=%ld`",
			 directory, pid);
	}
	verdict_check(w, "directory", "warn", text, cause, remedy);
}

bool
verdict_directory(const char *directory, struct json_writer *w)
{
	long pid = read_pid(directory);
	char name[32] = "", text[300], remedy[300];
	char state = pid > 0 ? process_state(pid, name) : '\0';

	snprintf(remedy, sizeof(remedy), "start it: sluiced --standalone %.200s", directory);
	if (access(directory, F_OK) != 0) {
		snprintf(text, sizeof(text), "%.200s: %s", directory, strerror(errno));
		verdict_check(w, "directory", "fail", text,
			      "--dir names another place than sluiced "
			      "--standalone was given",
			      "name that one");
	} else if (pid == 0) {
		snprintf(text, sizeof(text), "there is no %.200s/sluiced.pid", directory);
		verdict_check(w, "directory", "fail", text,
			      "no standalone daemon was started here, or it stopped in order",
			      remedy);
	} else if (state == '\0' || state == 'Z' || strcmp(name, "sluiced") != 0) {
		snprintf(text, sizeof(text), "no daemon runs on this directory: process %ld is %s",
			 pid,
			 state == '\0'  ? "gone"
			 : state == 'Z' ? "dead and not yet waited for"
					: "another program by now");
		verdict_check(
		    w, "directory", "fail", text,
		    "it ended; the last lines of its log say why (systemd: journalctl -u sluiced)",
		    remedy);
	} else {
		running_check(w, directory, pid, state);
		return true;
	}
	return false;
}

/* ---- for people ------------------------------------------------------------------------------- */

static void
print_part(const char *name, struct json_value value)
{
	char *text = json_text(value, NULL);

	if (text != NULL && text[0] != '\0') {
		printf("      %s: ", name);
		print_text(stdout, slice_text(text));
		fputc('\n', stdout);
	}
	free(text);
}

static enum print_style
style_of(const char *state)
{
	if (strcmp(state, "fail") == 0 || strcmp(state, "down") == 0)
		return STYLE_BAD;
	if (strcmp(state, "ok") == 0 || strcmp(state, "healthy") == 0)
		return STYLE_GOOD;
	return STYLE_WARN;
}

static void
print_check(struct json_value check, bool all)
{
	char *state = json_text(json_get(check, "state"), NULL);
	char *name = json_text(json_get(check, "name"), NULL);
	char *text = json_text(json_get(check, "text"), NULL);
	char *runbook = json_text(json_get(check, "runbook"), NULL);
	bool bad = state == NULL || strcmp(state, "ok") != 0;

	if (bad || all) {
		print_styled(stdout, style_of(state != NULL ? state : "?"),
			     state != NULL ? state : "?");
		printf("%*s", (int)(6 - strlen(state != NULL ? state : "?")), "");
		print_text(stdout, slice_text(name));
		fputs(": ", stdout);
		print_text(stdout, slice_text(text));
		fputc('\n', stdout);
	}
	if (bad) {
		print_part("likely", json_get(check, "cause"));
		print_part("do", json_get(check, "remedy"));
		if (runbook != NULL) {
			fputs("      more: doc/runbook.md#", stdout);
			print_text(stdout, slice_text(runbook));
			fputc('\n', stdout);
		}
	}
	free(state);
	free(name);
	free(text);
	free(runbook);
}

/* "degraded: redis_latency, workers" */
static void
print_headline(struct json_value document)
{
	char *verdict = json_text(json_get(document, "verdict"), NULL);
	int good = 0, bad = 0;
	struct json_iter it;

	print_styled(stdout, style_of(verdict != NULL ? verdict : "?"),
		     verdict != NULL ? verdict : "?");
	json_iter_init(&it, json_get(document, "checks"));
	while (json_iter_next(&it)) {
		char *name = json_text(json_get(it.value, "name"), NULL);

		if (slice_is(json_get(it.value, "state").raw, "\"ok\"")) {
			good++;
		} else {
			fputs(bad++ > 0 ? ", " : ": ", stdout);
			print_text(stdout, slice_text(name));
		}
		free(name);
	}
	json_iter_fini(&it);
	if (bad == 0)
		printf(": %d checks are well", good);
	fputc('\n', stdout);
	free(verdict);
}

void
verdict_print(struct json_value document, bool all)
{
	/* What stops everything stands before what is merely odd. */
	static const char *const order[] = {"\"fail\"", "\"warn\"", NULL};
	struct json_iter it;

	print_headline(document);
	for (int i = 0; i < 3; i++) {
		json_iter_init(&it, json_get(document, "checks"));
		while (json_iter_next(&it)) {
			struct slice state = json_get(it.value, "state").raw;
			bool named = slice_is(state, order[0]) || slice_is(state, order[1]);

			if (order[i] != NULL ? slice_is(state, order[i]) : !named)
				print_check(it.value, all);
		}
		json_iter_fini(&it);
	}
}
