/* cli/cmd_doctor.c - sluice doctor: is it well, and if not, what is wrong and what to do.
 *
 * The server judges; when it cannot be asked, we do: refused, unknown host, TLS, no answer, a key that
 * is none, and with --dir what the machine shows of the daemon.  Exit status: 0 healthy, 1 degraded,
 * 2 down; 77 when a key is missing or wrong, because then nothing is known. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/arguments.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/print.h"
#include "cli/trouble.h"
#include "cli/verdict.h"

enum { HEALTHY = 0, DEGRADED = 1, DOWN = 2, DOCUMENT_MAX = 64 << 10 };

static void
show(const struct cli *cli, const struct arguments *arguments, struct json_value document)
{
	if (cli->json)
		print_json(stdout, document.raw);
	else
		verdict_print(document, arguments_has(arguments, "--all"));
}

static int
show_own(const struct cli *cli, const struct arguments *arguments, const struct trouble *trouble,
	 const char *verdict, int status)
{
	struct buf out;

	buf_init(&out, DOCUMENT_MAX);
	verdict_make(cli, trouble, verdict, &out);
	show(cli, arguments, (struct json_value){JSON_OBJECT_, buf_slice(&out)});
	buf_fini(&out);
	return status;
}

/* Without a good key only /ready tells something. */
static int
without_key(struct cli *cli, const struct arguments *arguments, struct trouble *trouble)
{
	struct answer answer;
	struct trouble other;
	size_t used = strlen(trouble->text);
	int status = EX_NOPERM;

	client_ask(cli, "GET", "/ready", NULL, &answer);
	if (answer.failure != HTTP_ANSWERED) {
		trouble_of(cli, &answer, &other);
		*trouble = other;
		status = DOWN;
	} else if (answer.status == 200) {
		snprintf(trouble->text + used, sizeof(trouble->text) - used,
			 "; /ready needs none and says it is well");
	} else {
		snprintf(trouble->text + used, sizeof(trouble->text) - used,
			 "; /ready needs none and says %d: it cannot serve", answer.status);
	}
	answer_fini(&answer);
	return show_own(cli, arguments, trouble, status == DOWN ? "down" : "unknown", status);
}

int
cmd_doctor(struct cli *cli, const struct arguments *arguments)
{
	struct trouble trouble;
	struct answer answer;
	char *verdict;
	int status;

	if (cli->target.url ==
	    NULL) { /* DIR tells nothing: whether its process is there is all we see */
		bool there = verdict_directory(cli->target.directory, NULL);

		trouble_no_key(cli, &trouble);
		return show_own(cli, arguments, &trouble, there ? "unknown" : "down",
				there ? EX_NOPERM : DOWN);
	}
	if (cli->target.key == NULL) {
		trouble_no_key(cli, &trouble);
		return without_key(cli, arguments, &trouble);
	}
	client_ask(cli, "GET", "/admin/v1/doctor", NULL, &answer);
	if (!answer_is_good(&answer)) {
		trouble_of(cli, &answer, &trouble);
		answer_fini(&answer);
		return strcmp(trouble.check, "key") == 0
			   ? without_key(cli, arguments, &trouble)
			   : show_own(cli, arguments, &trouble, "down", DOWN);
	}
	verdict = json_text(json_get(answer.json, "verdict"), NULL);
	show(cli, arguments, answer.json);
	status = verdict != NULL && strcmp(verdict, "healthy") == 0    ? HEALTHY
		 : verdict != NULL && strcmp(verdict, "degraded") == 0 ? DEGRADED
								       : DOWN;
	free(verdict);
	answer_fini(&answer);
	return status;
}
