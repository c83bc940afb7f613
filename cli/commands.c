/* cli/commands.c - see command.h. */
#include <stddef.h>

#include "cli/command.h"

const struct command_option command_globals[] = {
    {"--host", "URL", "http://HOST:PORT, https://HOST or unix:/PATH (or SLUICE_HOST)"},
    {"--dir", "DIR", "a standalone daemon's directory: host and key are in DIR/keys.env"},
    {"--key-file", "FILE", "the operator's key, alone or as the line SLUICE_OPERATOR_KEY="},
    {"--key", "KEY", "the key itself; other users see it in ps, so rather --key-file"},
    {"--json", NULL, "one JSON document on stdout, errors as JSON on stderr"},
    {"--yes", NULL, "do not ask before what cannot be taken back"},
    {"--timeout", "SECONDS", "how long to wait for an answer (15)"},
    {NULL, NULL, NULL},
};

static const struct command_option peek_options[] = {
    {"--line", "LINE", "only this line (concurrency key)"},
    {"--limit", "N", "how many (20; at most 1000)"},
    {"--after", "ID", "go on behind this job"},
    {NULL, NULL, NULL},
};
static const struct command_option line_options[] = {
    {"--line", "LINE", "only this line (concurrency key) of the environment"},
    {NULL, NULL, NULL},
};
static const struct command_option drain_options[] = {
    {"--cancel", NULL, "cancel the jobs that wait; what runs goes on"},
    {"--wait", "SECONDS", "return when it is empty, or fail (75) after that time"},
    {NULL, NULL, NULL},
};
static const struct command_option dead_ls_options[] = {
    {"--limit", "N", "how many (50; at most 1000)"},
    {"--before", "ID", "go on behind this job"},
    {NULL, NULL, NULL},
};
static const struct command_option replay_options[] = {
    {"--environment", "ENV", "the newest of this environment in place of ids"},
    {"--limit", "N", "how many of them (100)"},
    {NULL, NULL, NULL},
};
static const struct command_option purge_options[] = {
    {"--environment", "ENV", "all of this environment in place of ids"},
    {"--before", "TIME", "only those that died before, as 2026-11-22T05:12:00.000Z"},
    {NULL, NULL, NULL},
};
static const struct command_option sync_ls_options[] = {
    {"--integration", "KEY", "only of this integration"},
    {"--connection", "ID", "only of this connection"},
    {"--name", "NAME", "only of this function"},
    {"--state", "STATE", "only those that are so"},
    {"--limit", "N", "how many (100; at most 1000)"},
    {"--cursor", "CURSOR", "go on there"},
    {NULL, NULL, NULL},
};
static const struct command_option sync_run_options[] = {
    {"--reset", NULL, "forget its checkpoint, and cancel the run that is open"},
    {"--empty-cache", NULL, "with --reset: remove its records first"},
    {NULL, NULL, NULL},
};
static const struct command_option env_show_options[] = {
    {"--secrets", NULL, "the key that signs webhooks, too"},
    {NULL, NULL, NULL},
};
static const struct command_option env_rotate_options[] = {
    {"--secrets", NULL, "print the new key"},
    {NULL, NULL, NULL},
};
static const struct command_option webhook_ls_options[] = {
    {"--endpoint", "ID", "only to this endpoint"},
    {"--type", "TYPE", "only these: async_action, sync, auth"},
    {"--state", "STATE", "only those that are so"},
    {"--since", "TIME", "only from then on, as 2026-11-22T05:12:00.000Z"},
    {"--before", "TIME", "only from before then"},
    {"--job", "ID", "only of this job"},
    {"--limit", "N", "how many (100; at most 1000)"},
    {"--cursor", "CURSOR", "go on there"},
    {NULL, NULL, NULL},
};
static const struct command_option webhook_resend_options[] = {
    {"--environment", "ENV", "the exhausted ones of this environment in place of ids"},
    {"--since", "TIME", "of them, those from then on, as 2026-11-22T05:12:00.000Z"},
    {"--before", "TIME", "and from before then"},
    {"--endpoint", "ID", "only to this endpoint"},
    {"--type", "TYPE", "only these: async_action, sync, auth"},
    {"--limit", "N", "how many of them (1000; at most 10000)"},
    {NULL, NULL, NULL},
};
static const struct command_option webhook_test_options[] = {
    {"--environment", "ENV", "sign as this environment does (dev)"},
    {NULL, NULL, NULL},
};
static const struct command_option quiet_options[] = {
    {"--all", NULL, "every worker"},
    {"--wait", "SECONDS", "return when they run nothing, or fail (75) after that time"},
    {NULL, NULL, NULL},
};
static const struct command_option release_options[] = {
    {"--all", NULL, "every quiet worker"},
    {"--force", NULL, "a lost or frozen one: end its session, what it ran is taken as lost"},
    {NULL, NULL, NULL},
};
static const struct command_option rekey_options[] = {
    {"--status", NULL, "begin nothing: show the keys, the last pass, and what is under which key"},
    {"--wait", "SECONDS", "return when it has finished, or fail (75) after that time"},
    {NULL, NULL, NULL},
};
static const struct command_option doctor_options[] = {
    {"--all", NULL, "show the checks that are well, too"},
    {NULL, NULL, NULL},
};
static const struct command_option bench_options[] = {
    {"--jobs", "N", "how many (1000)"},
    {"--clients", "C", "how many requests at a time (16)"},
    {"--sync", NULL, "wait for each result in the request, in place of the queue"},
    {"--seconds", "S", "stop measuring after that time (60)"},
    {"--environment", "ENV", "a function of your own: all four are needed"},
    {"--integration", "KEY", "its integration"},
    {"--connection", "ID", "the connection it runs with"},
    {"--function", "NAME", "its name"},
    {"--input", "JSON", "what it is given"},
    {NULL, NULL, NULL},
};

const struct command commands[] = {
    {"queue", "ls", "[ENV]", 0, 1, "queues: how deep, how old, paused or not", NULL,
     "With ENV also its lines: jobs of one line run at most LIMIT at a time.\n"
     "DEPTH counts what waits or runs, DELAYED what waits for a retry or a later start,\n"
     "OLDEST is the age of the oldest job that waits.",
     false, cmd_queue_ls},
    {"queue", "peek", "ENV", 1, 1, "the jobs of an environment, oldest first", peek_options, NULL,
     false, cmd_queue_peek},
    {"queue", "pause", "ENV", 1, 1, "start nothing new of it; jobs are still accepted",
     line_options, "What runs goes on.", false, cmd_queue_pause},
    {"queue", "resume", "ENV", 1, 1, "take back pause and drain", line_options, NULL, false,
     cmd_queue_resume},
    {"queue", "drain", "ENV", 1, 1, "accept no new jobs and finish those that are there",
     drain_options, "New jobs get 503 until `sluice queue resume ENV`.", false, cmd_queue_drain},

    {"gate", "ls", "[ENV]", 0, 1, "providers' windows: closed, until when, what remains", NULL,
     "A window is a connection's, or an integration's where the provider limits per app.\n"
     "WAITING counts requests on the node that was asked; FITS what a whole window takes.",
     false, cmd_gate_ls},
    {"gate", "clear", "ENV INTEGRATION [CONNECTION]", 2, 3,
     "forget a window: requests go out again", NULL,
     "Without CONNECTION those of the integration and of all its connections.", false,
     cmd_gate_clear},

    {"job", "show", "ID", 1, 1, "state, place, tries, result", NULL, NULL, false, cmd_job_show},
    {"job", "retry", "ID", 1, 1, "run it again, or now when it waits for a retry", NULL,
     "A job that ended is accepted again as a new one, with an id of its own.", false,
     cmd_job_retry},
    {"job", "cancel", "ID", 1, 1, "end it: no further provider call, SIGKILL after 5 s", NULL, NULL,
     false, cmd_job_cancel},
    {"job", "kill", "ID", 1, 1, "end it with SIGKILL now", NULL, NULL, false, cmd_job_kill},

    {"dead", "ls", "[ENV]", 0, 1, "jobs set aside because they killed what ran them",
     dead_ls_options, NULL, false, cmd_dead_ls},
    {"dead", "show", "ID", 1, 1, "one of them, with every death", NULL, NULL, false, cmd_dead_show},
    {"dead", "replay", "[ID...]", 0, COMMAND_WORDS_MAX, "accept them again as new jobs",
     replay_options, "Deploy the mended function first.", false, cmd_dead_replay},
    {"dead", "purge", "[ID...]", 0, COMMAND_WORDS_MAX, "take them off the list; results stay",
     purge_options, NULL, false, cmd_dead_purge},

    {"sync", "ls", "[ENV]", 0, 1, "syncs: how they stand, when they run next", sync_ls_options,
     "STATE is new, queued, running, paused, succeeded or failed; or late (due for a minute and\n"
     "not started), interrupted, stalled or repeats_page.",
     false, cmd_sync_ls},
    {"sync", "show", "ID", 1, 1, "schedule, runs, checkpoint, records", NULL,
     "Of the checkpoint version and size: its value is the customer's.", false, cmd_sync_show},
    {"sync", "start", "ID...", 1, COMMAND_WORDS_MAX, "let it run by its schedule", NULL, NULL,
     false, cmd_sync_start},
    {"sync", "pause", "ID...", 1, COMMAND_WORDS_MAX,
     "no run by its schedule; one that runs goes on", NULL, NULL, false, cmd_sync_pause},
    {"sync", "run", "ID...", 1, COMMAND_WORDS_MAX, "run it now, paused or not", sync_run_options,
     "Nothing is started while a run of it is open.", false, cmd_sync_run},

    {"env", "ls", "", 0, 0, "environments and their settings", NULL, NULL, false, cmd_env_ls},
    {"env", "show", "ENV", 1, 1, "the settings of one", env_show_options, NULL, false,
     cmd_env_show},
    {"env", "set", "ENV NAME=VALUE...", 2, COMMAND_WORDS_MAX, "change settings; NAME= empties one",
     NULL,
     "NAME is webhook_url, webhook_url_secondary, webhook_events (all, none, or names with commas:\n"
     "sync, sync_unchanged, sync_error, async_action, auth_creation, auth_refresh_error),\n"
     "action_timeout (seconds), sync_limit, or concurrency (environment:N, connection:N, function:N).",
     false, cmd_env_set},
    {"env", "rotate-key", "ENV", 1, 1, "another key to sign webhooks with", env_rotate_options,
     "For 24 h webhook-signature carries both keys' signatures; the other headers use the new one.",
     false, cmd_env_rotate_key},

    {"webhook", "ls", "[ENV]", 0, 1, "what was sent to apps or is to be, newest first",
     webhook_ls_options,
     "STATE is pending, retrying, delivered, exhausted; or failed: retrying and exhausted.", false,
     cmd_webhook_ls},
    {"webhook", "show", "ID", 1, 1, "one of them: what is sent, and every try", NULL, NULL, false,
     cmd_webhook_show},
    {"webhook", "resend", "[ID...]", 0, COMMAND_WORDS_MAX, "send again, to where it goes now",
     webhook_resend_options, "The id of the event stays; the schedule of tries begins anew.", false,
     cmd_webhook_resend},
    {"webhook", "endpoints", "[ENV]", 0, 1, "where it is sent to, and how they do", NULL,
     "PENDING counts what is to be sent, to 10001.", false, cmd_webhook_endpoints},
    {"webhook", "pause", "ID...", 1, COMMAND_WORDS_MAX, "send nothing to these endpoints", NULL,
     "What is for them waits.", false, cmd_webhook_pause},
    {"webhook", "resume", "ID...", 1, COMMAND_WORDS_MAX, "send to them again", NULL, NULL, false,
     cmd_webhook_resume},
    {"webhook", "test", "[URL]", 0, 1, "send one now and show the answer", webhook_test_options,
     "Without URL to the environment's own.  Exit status 69 when it was not taken.", false,
     cmd_webhook_test},

    {"worker", "ls", "", 0, 0, "the nodes: state, roles, what they run", NULL, NULL, false,
     cmd_worker_ls},
    {"worker", "quiet", "[NAME...]", 0, COMMAND_WORDS_MAX, "take no new jobs; what runs goes on",
     quiet_options,
     "NAME may be the beginning of a name if only one begins so.  A restart ends it.", false,
     cmd_worker_quiet},
    {"worker", "release", "[NAME...]", 0, COMMAND_WORDS_MAX, "let a quiet one work again",
     release_options, NULL, false, cmd_worker_release},

    {NULL, "rekey", "", 0, 0, "seal everything anew under the first encryption key", rekey_options,
     "Online, and repeatable: one that was interrupted goes on.  All nodes must seal with that key\n"
     "already.  A key under which nothing is left may be dropped.",
     false, cmd_rekey},
    {NULL, "doctor", "", 0, 0, "is it well, and if not, what is wrong and what to do",
     doctor_options, "Exit status: 0 healthy, 1 degraded, 2 down, 77 not known for want of a key.",
     false, cmd_doctor},
    {NULL, "bench", "", 0, 0, "measure this service with jobs of its own", bench_options,
     "Without options 1000 jobs of a function that does nothing, in the environment `bench`.",
     false, cmd_bench},
    {NULL, "completion", "SHELL", 1, 1, "print a script that completes commands: bash or zsh", NULL,
     NULL, true, cmd_completion},
    {NULL, "help", "[COMMAND...]", 0, 2, "this, or what one command takes", NULL, NULL, true,
     cmd_help},
    {NULL, NULL, NULL, 0, 0, NULL, NULL, NULL, false, NULL},
};
