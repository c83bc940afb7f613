#include "cli/trouble.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/client.h"
#include "cli/print.h"

#define NO_ROUTE "no such path" /* what daemon/api says of a path it has not got */

static void
set(char *to, size_t size, const char *format, va_list args)
{
	vsnprintf(to, size, format, args);
}

static void SL_PRINTF(2, 3) say_text(struct trouble *out, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set(out->text, sizeof(out->text), format, args);
	va_end(args);
}

static void SL_PRINTF(2, 3) say_cause(struct trouble *out, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set(out->cause, sizeof(out->cause), format, args);
	va_end(args);
}

static void SL_PRINTF(2, 3) say_remedy(struct trouble *out, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set(out->remedy, sizeof(out->remedy), format, args);
	va_end(args);
}

/* ---- no answer -------------------------------------------------------------------------------- */

static void
of_connect(const struct cli *cli, const struct answer *answer, struct trouble *out)
{
	const struct target *target = &cli->target;

	out->code = "refused";
	if (strcmp(answer->code, "ENOENT") == 0) {
		say_text(out, "there is no socket %.200s", target->unix_path);
		say_cause(out, "sluiced does not run, or listens elsewhere");
	} else if (strcmp(answer->code, "ECONNREFUSED") == 0) {
		say_text(out, "nobody listens on %.200s", target->shown);
		say_cause(out, "sluiced does not run, or listens on another address");
	} else if (strcmp(answer->code, "EACCES") == 0 || strcmp(answer->code, "EPERM") == 0) {
		say_text(out, "this user may not connect to %.200s (%s)", target->shown,
			 answer->code);
		say_cause(out, "%s",
			  target->unix_path != NULL
			      ? "the socket or a folder above is closed to this user"
			      : "a firewall on this machine forbids it");
	} else {
		say_text(out, "cannot connect to %.200s (%s)", target->shown, answer->code);
		say_cause(out, "the network between here and there does not carry it");
	}
	if (target->directory != NULL)
		say_remedy(
		    out,
		    "`sluice --dir %.150s doctor` looks at its process; the address is from %.150s",
		    target->directory, target->url_source);
	else
		say_remedy(
		    out,
		    "look at `systemctl status sluiced` on that machine, or `sluice --dir DIR doctor` for a "
		    "standalone one; the address is from %.120s, another one is given by --host or SLUICE_HOST",
		    target->url_source);
}

static void
of_tls(const struct cli *cli, const struct answer *answer, struct trouble *out)
{
	out->code = "tls";
	say_text(out, "no TLS with %.200s: %.120s", cli->target.shown, answer->text);
	if (strcmp(answer->code, "EPROTO") == 0) {
		say_cause(out, "sluiced itself speaks plain HTTP; nothing there ends TLS");
		say_remedy(out, "try http:// in %.120s, or name the proxy's address",
			   cli->target.url_source);
	} else {
		say_cause(out, "the certificate of what ends TLS there is not one we can trust");
		say_remedy(out,
			   "renew it, or name the host as the certificate has it (--host); a CA of "
			   "your own belongs into the system's store");
	}
}

static void
of_timeout(const struct cli *cli, const struct answer *answer, struct trouble *out)
{
	bool connected = strcmp(answer->code, "ETIMEDOUT") != 0;

	out->code = "timeout";
	say_text(out, "%s %.200s within %lld s", connected ? "no answer from" : "no connection to",
		 cli->target.shown, (long long)cli->timeout_ms / 1000);
	if (connected) {
		say_cause(
		    out,
		    "the process is stopped or its loop is stuck, or it waits for Postgres or Redis");
		say_remedy(
		    out,
		    "look at its state (`ps -o pid,stat,wchan -C sluiced`; T is stopped: kill -CONT), "
		    "its log, and at Postgres and Redis; --timeout waits longer");
	} else {
		say_cause(out, "a firewall drops what is sent, or the machine is off");
		say_remedy(out, "try from that machine itself; the address is from %.120s",
			   cli->target.url_source);
	}
}

static void
of_failure(const struct cli *cli, const struct answer *answer, struct trouble *out)
{
	out->status = EX_UNAVAILABLE;
	out->check = "network";
	switch (answer->failure) {
	case HTTP_ANSWERED:
	case HTTP_CONNECT:
		of_connect(cli, answer, out);
		return;
	case HTTP_REFUSED_URL:
		out->status = EX_USAGE;
		out->code = "bad_host";
		say_text(out, "%.200s cannot be called: %.120s", cli->target.shown, answer->text);
		say_remedy(out, "the address is from %.120s: write http://HOST:PORT or unix:/PATH",
			   cli->target.url_source);
		return;
	case HTTP_DNS:
		out->status = EX_NOHOST;
		out->code = "unknown_host";
		say_text(out, "no address is known for the host of %.200s", cli->target.shown);
		say_cause(out, "a typing error in %.120s, or DNS does not answer",
			  cli->target.url_source);
		say_remedy(out, "try `getent hosts NAME`; an address works without DNS");
		return;
	case HTTP_RESET:
		out->code = "closed";
		say_text(out, "%.200s closed the connection without an answer", cli->target.shown);
		say_cause(
		    out,
		    "sluiced is stopping or crashed just now, or something else listens there");
		say_remedy(out, "try again; then look at its log and at who listens (`ss -ltnp`)");
		return;
	case HTTP_TIMEOUT:
		of_timeout(cli, answer, out);
		return;
	case HTTP_TLS:
		of_tls(cli, answer, out);
		return;
	case HTTP_TOO_LARGE:
	case HTTP_PROTOCOL:
		out->status = EX_PROTOCOL;
		out->code = "no_http";
		say_text(out, "what answers at %.200s is not this API: %.120s", cli->target.shown,
			 answer->text);
		say_cause(out, "another program listens there, or TLS is expected (https://)");
		say_remedy(out, "look who listens (`ss -ltnp`); the address is from %.120s",
			   cli->target.url_source);
		return;
	case HTTP_CANCELLED:
		out->status = EX_TEMPFAIL;
		out->code = "interrupted";
		say_text(out, "interrupted");
		return;
	}
}

/* ---- an answer that is no good ---------------------------------------------------------------- */

void
trouble_no_key(const struct cli *cli, struct trouble *out)
{
	const struct target *target = &cli->target;

	*out = (struct trouble){.status = target->directory != NULL ? EX_CONFIG : EX_NOPERM,
				.code = "no_key",
				.check = "key"};
	say_text(out, "no operator key: %.200s",
		 target->problem.text[0] != '\0' ? target->problem.text : "none was given");
	if (target->key != NULL)
		say_text(out, "%.150s/keys.env does not say where the service is (NANGO_HOSTPORT)",
			 target->directory);
	if (target->directory != NULL)
		say_remedy(
		    out,
		    "DIR is what `sluiced --standalone DIR` was given, and DIR/keys.env is its "
		    "user's; or name a file by --key-file");
	else
		say_remedy(
		    out,
		    "a standalone daemon writes one to DIR/keys.env (sluice --dir DIR ...), a fleet to its "
		    "keys_file (--key-file FILE, or SLUICE_OPERATOR_KEY)");
}

/* error.message, and where the server names a field, that. */
static void
server_says(const struct answer *answer, char *out, size_t size)
{
	struct json_value error = json_get(answer->json, "error");
	char *message = json_text(json_get(error, "message"), NULL);
	char *code = json_text(json_get(error, "code"), NULL);

	if (message != NULL && message[0] != '\0')
		snprintf(out, size, "%s", message);
	else if (code != NULL)
		snprintf(out, size, "%s", code);
	else
		snprintf(out, size, "status %d and no message", answer->status);
	free(message);
	free(code);
}

static void
of_key(const struct cli *cli, const struct answer *answer, struct trouble *out)
{
	const char *source = cli->target.key_source;

	out->status = EX_NOPERM;
	out->check = "key";
	if (answer->status == 401) {
		out->code = "key_refused";
		say_text(out, "the key from %.150s is not one that %.150s knows (401)", source,
			 cli->target.shown);
		say_cause(out, "it is a key of another installation, was deleted, or is cut short");
		say_remedy(out, "take the line SLUICE_OPERATOR_KEY of that service's keys file");
	} else {
		out->code = "no_operator";
		say_text(out, "the key from %.150s is not an operator's (403)", source);
		say_cause(out, "it is a customer's (NANGO_SECRET_KEY_...) or the account's key");
		say_remedy(out, "take the line SLUICE_OPERATOR_KEY of the same file");
	}
}

static void
of_busy(const struct cli *cli, const struct answer *answer, struct trouble *out)
{
	char says[300];

	(void)cli;
	server_says(answer, says, sizeof(says));
	out->status =
	    answer->status == 429 || answer->retry_after_s >= 0 ? EX_TEMPFAIL : EX_UNAVAILABLE;
	out->code = answer->status == 429 ? "too_many" : "unavailable";
	say_text(out, "not now (%d): %s", answer->status, says);
	if (answer->retry_after_s >= 0)
		say_remedy(out, "try again in %d s; `sluice doctor` tells what is short",
			   answer->retry_after_s);
	else
		say_remedy(out, "`sluice doctor` tells what is short");
}

static void
of_status(const struct cli *cli, const struct answer *answer, struct trouble *out)
{
	bool ours = json_get(answer->json, "error").type == JSON_OBJECT_;
	char says[300];

	server_says(answer, says, sizeof(says));
	out->code = "refused_by_server";
	if (answer->status >= 300 && answer->status < 400) {
		out->status = EX_PROTOCOL;
		say_text(out, "%.150s sends us on to %.150s", cli->target.shown,
			 answer->location != NULL ? answer->location : "nowhere");
		say_remedy(out, "name that host in %.120s", cli->target.url_source);
	} else if (answer->status < 300 || !ours) {
		out->status = EX_PROTOCOL;
		out->code = "no_api";
		say_text(out, "what answers at %.200s is not this API (status %d)",
			 cli->target.shown, answer->status);
		say_cause(
		    out,
		    "another program or a proxy listens there, or a sluiced older than this command");
		say_remedy(
		    out, "compare `sluice --version` with the daemon's; the address is from %.120s",
		    cli->target.url_source);
	} else if (answer->status == 404 && strcmp(says, NO_ROUTE) == 0) {
		out->status = EX_PROTOCOL;
		out->code = "no_api";
		say_text(out, "%.200s answers, but knows nothing of this", cli->target.shown);
		say_cause(out, "that sluiced is older than this command");
		say_remedy(out, "compare `sluice --version` with `sluiced --version` there");
	} else if (answer->status >= 500) {
		out->status = EX_SOFTWARE;
		say_text(out, "the server failed (%d): %s", answer->status, says);
		say_remedy(out, "its log says why; `sluice doctor` looks at what it depends on");
	} else {
		out->status = answer->status == 404 ? EX_NOINPUT : EX_DATAERR;
		say_text(out, "%s", says);
	}
}

void
trouble_of(const struct cli *cli, const struct answer *answer, struct trouble *out)
{
	*out = (struct trouble){.code = "failed", .check = "answer"};
	if (answer->failure != HTTP_ANSWERED)
		of_failure(cli, answer, out);
	else if (answer->status == 401 || answer->status == 403)
		of_key(cli, answer, out);
	else if (answer->status == 429 || answer->status == 503)
		of_busy(cli, answer, out);
	else
		of_status(cli, answer, out);
}

/* ---- printing --------------------------------------------------------------------------------- */

static void
print_error_json(const char *code, const char *text, const char *remedy)
{
	struct json_writer w;
	struct buf out;

	buf_init(&out, 16 << 10);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "error");
	jw_object(&w);
	jw_member_text(&w, "code", code);
	jw_member_text(&w, "message", text);
	if (remedy != NULL && remedy[0] != '\0')
		jw_member_text(&w, "remedy", remedy);
	jw_object_end(&w);
	jw_object_end(&w);
	print_json(stderr, buf_slice(&out));
	buf_fini(&out);
}

static void
print_line(const char *head, const char *text)
{
	fputs(head, stderr);
	print_text(stderr, slice_text(text));
	fputc('\n', stderr);
}

int
trouble_print(const struct cli *cli, const struct trouble *trouble, const struct answer *answer)
{
	if (cli->json) {
		bool servers = answer != NULL && answer->failure == HTTP_ANSWERED &&
			       json_get(answer->json, "error").type == JSON_OBJECT_;

		if (servers)
			print_json(stderr, answer->json.raw);
		else
			print_error_json(trouble->code, trouble->text, trouble->remedy);
		return trouble->status;
	}
	print_line("sluice: ", trouble->text);
	if (trouble->cause[0] != '\0')
		print_line("  likely: ", trouble->cause);
	if (trouble->remedy[0] != '\0')
		print_line("  do: ", trouble->remedy);
	return trouble->status;
}

static int
fail_with(const struct cli *cli, int status, const char *code, const char *format, va_list args)
{
	char text[600];

	vsnprintf(text, sizeof(text), format, args);
	if (cli->json)
		print_error_json(code, text, NULL);
	else
		print_line("sluice: ", text);
	return status;
}

int
fail(const struct cli *cli, int status, const char *code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fail_with(cli, status, code, format, args);
	va_end(args);
	return status;
}

int
fail_usage(const struct cli *cli, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fail_with(cli, EX_USAGE, "usage", format, args);
	va_end(args);
	return EX_USAGE;
}
