/* cli/command.h - the table of commands: what is parsed, what `help` prints, what completes.
 *
 * doc/man/sluice.1 tells the same to people; tests/lint/manual holds the two together. */
#ifndef SLUICE_CLI_COMMAND_H
#define SLUICE_CLI_COMMAND_H

#include <stdbool.h>

struct arguments;
struct cli;

struct command_option {
	const char *name;  /* "--limit"; NULL ends a list */
	const char *value; /* "N"; NULL: a switch */
	const char *help;
};

enum { COMMAND_OPTIONS_MAX = 16, COMMAND_WORDS_MAX = 1000 };

struct command {
	const char *group; /* "queue", or NULL for a command of one word */
	const char *name;
	const char *words; /* shown in the usage: "ENV" */
	int min, max;      /* how many words it takes */
	const char *summary;
	const struct command_option *options; /* NULL: only those of all commands */
	const char *about;                    /* a paragraph for `help`, or NULL */
	bool keyless;                         /* runs without a service and a key */
	int (*run)(struct cli *cli,
		   const struct arguments *arguments); /* returns the exit status */
};

extern const struct command commands[]; /* ends with a NULL name */
extern const struct command_option command_globals[];

/* The commands; each returns an exit status and has printed what went wrong. */
int cmd_gate_ls(struct cli *cli, const struct arguments *arguments);
int cmd_gate_clear(struct cli *cli, const struct arguments *arguments);
int cmd_queue_ls(struct cli *cli, const struct arguments *arguments);
int cmd_queue_peek(struct cli *cli, const struct arguments *arguments);
int cmd_queue_pause(struct cli *cli, const struct arguments *arguments);
int cmd_queue_resume(struct cli *cli, const struct arguments *arguments);
int cmd_queue_drain(struct cli *cli, const struct arguments *arguments);
int cmd_job_show(struct cli *cli, const struct arguments *arguments);
int cmd_job_retry(struct cli *cli, const struct arguments *arguments);
int cmd_job_cancel(struct cli *cli, const struct arguments *arguments);
int cmd_job_kill(struct cli *cli, const struct arguments *arguments);
int cmd_dead_ls(struct cli *cli, const struct arguments *arguments);
int cmd_dead_show(struct cli *cli, const struct arguments *arguments);
int cmd_dead_replay(struct cli *cli, const struct arguments *arguments);
int cmd_dead_purge(struct cli *cli, const struct arguments *arguments);
int cmd_sync_ls(struct cli *cli, const struct arguments *arguments);
int cmd_sync_show(struct cli *cli, const struct arguments *arguments);
int cmd_sync_start(struct cli *cli, const struct arguments *arguments);
int cmd_sync_pause(struct cli *cli, const struct arguments *arguments);
int cmd_sync_run(struct cli *cli, const struct arguments *arguments);
int cmd_env_ls(struct cli *cli, const struct arguments *arguments);
int cmd_env_show(struct cli *cli, const struct arguments *arguments);
int cmd_env_set(struct cli *cli, const struct arguments *arguments);
int cmd_env_rotate_key(struct cli *cli, const struct arguments *arguments);
int cmd_webhook_ls(struct cli *cli, const struct arguments *arguments);
int cmd_webhook_show(struct cli *cli, const struct arguments *arguments);
int cmd_webhook_resend(struct cli *cli, const struct arguments *arguments);
int cmd_webhook_endpoints(struct cli *cli, const struct arguments *arguments);
int cmd_webhook_pause(struct cli *cli, const struct arguments *arguments);
int cmd_webhook_resume(struct cli *cli, const struct arguments *arguments);
int cmd_webhook_test(struct cli *cli, const struct arguments *arguments);
int cmd_worker_ls(struct cli *cli, const struct arguments *arguments);
int cmd_worker_quiet(struct cli *cli, const struct arguments *arguments);
int cmd_worker_release(struct cli *cli, const struct arguments *arguments);
int cmd_rekey(struct cli *cli, const struct arguments *arguments);
int cmd_doctor(struct cli *cli, const struct arguments *arguments);
int cmd_bench(struct cli *cli, const struct arguments *arguments);
int cmd_help(struct cli *cli, const struct arguments *arguments);
int cmd_completion(struct cli *cli, const struct arguments *arguments);

/* The whole overview, or what one command takes; on stdout. */
void help_overview(void);
void help_command(const struct command *command);

#endif
