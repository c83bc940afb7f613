/* daemon/keys.c - see keys.h. */
#include "daemon/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "daemon/notify.h"
#include "sql/account.h"

#define ENSURE_MS 30000

enum { KEY_DEV, KEY_PROD, KEY_ACCOUNT, KEY_OPERATOR, KEYS };

static const struct {
	const char *line;        /* in the file */
	const char *environment; /* NULL: account-level */
	const char *display_name;
	const char *scopes;
} key_rows[KEYS] = {
    {"NANGO_SECRET_KEY_DEV", "dev", "Default", "environment:*"},
    {"NANGO_SECRET_KEY_PROD", "prod", "Default", "environment:*"},
    {"SLUICE_ACCOUNT_KEY", NULL, "Account", "account:*"},
    {"SLUICE_OPERATOR_KEY", NULL, "Operator", "operator"},
};

struct ensure {
	struct daemon *daemon;
	char key[KEYS][UUID_TEXT];
	bool made; /* the file did not exist: its keys are new */
	int at;
	bool done;
	enum sl_code code;
	struct sl_error error;
};

static void next(struct ensure *ensure);

static bool
read_line(const char *text, const char *name, char out[UUID_TEXT])
{
	size_t len = strlen(name);

	for (const char *at = text; at != NULL && *at != '\0'; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, name, len) == 0 && at[len] == '=')
			return strlen(at + len + 1) >= 36 &&
			       uuid_parse((struct slice){at + len + 1, 36}, out);
	}
	return false;
}

static enum sl_code
read_file(struct ensure *ensure, const char *path, struct sl_error *error)
{
	char text[4096];
	size_t len;
	FILE *file = fopen(path, "re");

	if (file == NULL && errno != ENOENT)
		return sl_fail(error, SL_UNAVAILABLE, "cannot read %s: %s", path, strerror(errno));
	ensure->made = file == NULL;
	len = file != NULL ? fread(text, 1, sizeof(text) - 1, file) : 0;
	text[len] = '\0';
	if (file != NULL)
		fclose(file);
	for (int i = 0; i < KEYS; i++) {
		if (ensure->made)
			uuid_v4(ensure->key[i]);
		else if (!read_line(text, key_rows[i].line, ensure->key[i]))
			return sl_fail(
			    error, SL_INVALID,
			    "%s has no line %s=<uuid>; add it, or remove the file to get new keys",
			    path, key_rows[i].line);
	}
	secret_wipe(text, sizeof(text));
	return SL_OK;
}

/* Beside other nodes of this machine that start with the same file: each writes a part of its own, and the
 * keys of a new file are those of whoever is first.  SL_CONFLICT: another one was. */
static enum sl_code
write_file(const struct ensure *ensure, const char *path, const char *host_port,
	   struct sl_error *error)
{
	char *part = sl_asprintf("%s.part.%ld", path, (long)getpid());
	int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	enum sl_code code;
	struct buf text;
	bool ok;

	buf_init(&text, 4096);
	buf_add_text(
	    &text,
	    "# API keys of this service: keep them secret.  Load with `set -a; . FILE; set +a`.\n");
	for (int i = 0; i < KEYS; i++)
		buf_printf(&text, "%s=%s\n", key_rows[i].line, ensure->key[i]);
	buf_printf(&text, "NANGO_HOSTPORT=%s\n", host_port);
	ok = fd >= 0 && fchmod(fd, 0600) == 0 &&
	     write(fd, text.data, text.len) == (ssize_t)text.len && fsync(fd) == 0;
	if (fd >= 0)
		ok = close(fd) == 0 && ok;
	ok = ok && (ensure->made ? link(part, path) : rename(part, path)) == 0;
	code = ok ? SL_OK
		  : sl_fail(error, errno == EEXIST ? SL_CONFLICT : SL_UNAVAILABLE,
			    "cannot write %s: %s", path, strerror(errno));
	if (fd >= 0 && (ensure->made || !ok))
		(void)unlink(part);
	secret_wipe(text.data, text.len);
	buf_fini(&text);
	free(part);
	return code;
}

static void
finish(struct ensure *ensure, enum sl_code code, const struct sl_error *error)
{
	ensure->done = true;
	ensure->code = code;
	if (error != NULL)
		ensure->error = *error;
}

static void
on_made(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct ensure *ensure = arg;

	(void)id;
	/* A conflict: another node made it at the same time, or it was there. */
	if (code != SL_OK && code != SL_CONFLICT) {
		finish(ensure, code, error);
		return;
	}
	ensure->at++;
	next(ensure);
}

static void
make_key(struct ensure *ensure, int64_t environment_id)
{
	char digest[SECRET_SHA256_HEX], name[80], when[CLOCK_ISO_SIZE];

	secret_sha256_hex(slice_text(ensure->key[ensure->at]), digest);
	clock_iso(clock_wall_ms(), when);
	/* Names are unique.  One of the account comes with part of its digest: a file that was lost, or
	 * whose key was replaced, makes a key beside the old one, and the same file none. */
	if (environment_id != 0)
		snprintf(name, sizeof(name), "%s %s", key_rows[ensure->at].display_name, when);
	else
		snprintf(name, sizeof(name), "%s %.8s", key_rows[ensure->at].display_name, digest);
	account_key_create(ensure->daemon->account, environment_id, name, digest,
			   key_rows[ensure->at].scopes, on_made, ensure);
}

static void
make_environment(struct ensure *ensure)
{
	struct account_new_environment row = {.name = key_rows[ensure->at].environment,
					      .callback_url = ""};
	char digest[SECRET_SHA256_HEX], uuid[UUID_TEXT], signing[UUID_TEXT], seal_row[100];
	struct buf sealed;

	uuid_v4(uuid);
	uuid_v4(signing);
	secret_sha256_hex(slice_text(ensure->key[ensure->at]), digest);
	snprintf(seal_row, sizeof(seal_row), "environment:%s:signing_key", uuid);
	buf_init(&sealed, 4096);
	secret_seal(ensure->daemon->ring, slice_text(signing), seal_row, &sealed);
	row.uuid = uuid;
	row.signing_key = sealed.data;
	row.key_digest = digest;
	row.is_production = ensure->at == KEY_PROD;
	account_environment_create(ensure->daemon->account, &row, on_made, ensure);
	buf_fini(&sealed);
}

static void
on_environment(void *arg, enum sl_code code, const struct account_environment *rows, int count,
	       const struct sl_error *error)
{
	struct ensure *ensure = arg;

	if (code == SL_NOT_FOUND || (code == SL_OK && count == 0)) {
		make_environment(ensure);
	} else if (code != SL_OK) {
		finish(ensure, code, error);
	} else if (ensure->made) {
		make_key(ensure, rows[0].id); /* the file was lost: a new key beside the old ones */
	} else {
		ensure->at++;
		next(ensure);
	}
}

static void
next(struct ensure *ensure)
{
	if (ensure->at == KEYS)
		finish(ensure, SL_OK, NULL);
	else if (key_rows[ensure->at].environment != NULL)
		account_environment_by_name(ensure->daemon->account,
					    key_rows[ensure->at].environment, on_environment,
					    ensure);
	else
		make_key(ensure, 0);
}

enum sl_code
keys_ensure(struct daemon *daemon, const char *path, const char *host_port, bool given,
	    struct sl_error *error)
{
	struct ensure ensure = {.daemon = daemon};
	int64_t until = clock_mono_ms() + ENSURE_MS;
	enum sl_code code = read_file(&ensure, path, error);

	if (code == SL_OK && given && ensure.made)
		code = sl_fail(error, SL_INVALID, "%s is gone", path);
	if (code == SL_OK && !given)
		code = write_file(&ensure, path, host_port, error);
	if (code == SL_CONFLICT)
		code = read_file(&ensure, path, error);
	if (code != SL_OK)
		return code;
	/* Of several servers the first may hang: what follows waits less long than leaving it takes. */
	while (!account_is_up(daemon->account) && clock_mono_ms() < until)
		loop_turn(daemon->loop, 100);
	next(&ensure);
	while (!ensure.done && !daemon->given_up && clock_mono_ms() < until) {
		notify_busy(daemon->notify, "Starting: looking for the first keys in the ledger");
		loop_turn(daemon->loop, 100);
	}
	if (!ensure.done) { /* no callback may come: it would point into this frame */
		account_free(daemon->account);
		daemon->account = NULL;
		ensure.code = SL_UNAVAILABLE;
	}
	if (ensure.code != SL_OK)
		code = sl_fail(error, ensure.code, "cannot make the first keys: %s",
			       ensure.error.text[0] != '\0' ? ensure.error.text
							    : "the ledger does not answer");
	secret_wipe(ensure.key, sizeof(ensure.key));
	return code;
}
