#include "cli/target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/secret.h"

#define DEFAULT_URL "http://127.0.0.1:3003"
#define SYSTEM_KEYS "/etc/sluice/keys.env"
#define KEY_LINE "SLUICE_OPERATOR_KEY"
#define HOST_LINE "NANGO_HOSTPORT"

enum { FILE_MAX = 64 * 1024 };

/* ---- files of keys ---------------------------------------------------------------------------- */

static void
warn_readable(const char *path, FILE *file)
{
	struct stat st;

	if (fstat(fileno(file), &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IROTH) != 0)
		fprintf(
		    stderr,
		    "sluice: warning: %s holds a key and everybody may read it (mode %04o): chmod 600 %s\n",
		    path, (unsigned)(st.st_mode & 07777), path);
}

/* The file's text, to be wiped by the caller; SL_NOT_FOUND, SL_INVALID. */
static enum sl_code
read_file(const char *path, struct buf *text, struct sl_error *error)
{
	FILE *file = fopen(path, "re");
	char piece[4096];
	size_t got;
	bool bad;

	buf_init(text, FILE_MAX);
	if (file == NULL)
		return sl_fail(error, errno == ENOENT ? SL_NOT_FOUND : SL_INVALID,
			       "cannot read %.150s: %s", path, strerror(errno));
	while ((got = fread(piece, 1, sizeof(piece), file)) > 0)
		buf_add(text, piece, got);
	bad = ferror(file) != 0;
	if (!bad)
		warn_readable(path, file);
	fclose(file);
	secret_wipe(piece, sizeof(piece));
	if (bad)
		return sl_fail(error, SL_INVALID, "cannot read %.150s", path);
	if (text->over)
		return sl_fail(error, SL_INVALID, "%.150s is no file of keys: it is over %d bytes",
			       path, FILE_MAX);
	return SL_OK;
}

static void
wipe(struct buf *text)
{
	if (text->data != NULL)
		secret_wipe(text->data, text->len);
	buf_fini(text);
}

/* Value of the line NAME=VALUE, also behind `export `, without quotes; NULL: there is none. */
static char *
line_value(const struct buf *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = text->data; at != NULL && *at != '\0'; at = strchr(at, '\n')) {
		size_t size;

		at += *at == '\n';
		at += strspn(at, " \t");
		if (strncmp(at, "export ", 7) == 0)
			at += 7;
		if (strncmp(at, name, len) != 0 || at[len] != '=')
			continue;
		at += len + 1;
		at += *at == '"' || *at == '\'';
		size = strcspn(at, "\"' \t\r\n");
		return size > 0 ? sl_strndup(at, size) : NULL;
	}
	return NULL;
}

/* What stands alone in a file: a key and nothing else. */
static char *
only_word(const struct buf *text)
{
	const char *start = text->data != NULL ? text->data + strspn(text->data, " \t\r\n") : "";
	size_t len = strcspn(start, " \t\r\n");

	if (len == 0 || start[len + strspn(start + len, " \t\r\n")] != '\0')
		return NULL;
	return memchr(start, '=', len) == NULL ? sl_strndup(start, len) : NULL;
}

/* ---- putting it together ---------------------------------------------------------------------- */

static void
set(char **to, char *owned)
{
	free(*to);
	*to = owned;
}

static void
set_key(struct target *target, char *key, const char *source)
{
	target->key = key;
	set(&target->key_source, sl_strdup(source));
}

/* "http://unix:/x" is how the daemon writes a socket into keys.env; several addresses are joined by
 * commas, of which we take the first. */
static enum sl_code
set_host(struct target *target, const char *text, const char *source, struct sl_error *error)
{
	size_t len = strcspn(text, ",");
	const char *path = NULL;

	if (strncmp(text, "unix:", 5) == 0)
		path = text + 5;
	else if (strncmp(text, "http://unix:", 12) == 0)
		path = text + 12;
	set(&target->url_source, sl_strdup(source));
	if (path != NULL) {
		if (path[0] != '/')
			return sl_fail(error, SL_INVALID, "%.100s: a socket is written unix:/PATH",
				       source);
		set(&target->unix_path, sl_strndup(path, len - (size_t)(path - text)));
		set(&target->shown, sl_asprintf("unix:%s", target->unix_path));
		set(&target->url, sl_strdup("http://localhost"));
		return SL_OK;
	}
	if (strncasecmp(text, "http://", 7) != 0 && strncasecmp(text, "https://", 8) != 0)
		return sl_fail(error, SL_INVALID,
			       "%.60s: \"%.60s\" is no address: write http://HOST[:PORT], "
			       "https://HOST[:PORT] or unix:/PATH",
			       source, text);
	while (len > 0 && text[len - 1] == '/')
		len--;
	set(&target->url, sl_strndup(text, len));
	set(&target->shown, sl_strdup(target->url));
	return SL_OK;
}

/* DIR/keys.env, or the system's: both lines are optional here. */
static enum sl_code
use_keys_file(struct target *target, const char *path, bool want_host, bool want_key,
	      struct sl_error *error)
{
	struct buf text;
	char *value;
	enum sl_code code = read_file(path, &text, error);

	if (code == SL_OK && want_host && (value = line_value(&text, HOST_LINE)) != NULL) {
		code = set_host(target, value, path, error);
		free(value);
	}
	if (code == SL_OK && want_key) {
		value = line_value(&text, KEY_LINE);
		set_key(target, value, path);
		if (value == NULL)
			code =
			    sl_fail(error, SL_NOT_FOUND, "%.150s has no line %s=", path, KEY_LINE);
	}
	wipe(&text);
	return code;
}

static enum sl_code
use_key_file(struct target *target, const char *path, struct sl_error *error)
{
	struct buf text;
	enum sl_code code = read_file(path, &text, error);

	if (code == SL_OK) {
		char *key = line_value(&text, KEY_LINE);

		set_key(target, key != NULL ? key : only_word(&text), path);
		if (target->key == NULL)
			sl_fail(error, SL_INVALID,
				"--key-file: %.150s holds neither a key alone nor a line %s=", path,
				KEY_LINE);
	}
	wipe(&text);
	return target->key != NULL ? SL_OK : SL_UNAVAILABLE;
}

/* What is missing there is told when it is needed: the doctor goes on without. */
static void
use_directory(struct target *target, const char *directory)
{
	char *path = sl_asprintf("%s/keys.env", directory);
	enum sl_code code;

	target->directory = sl_strdup(directory);
	code =
	    use_keys_file(target, path, target->url == NULL, target->key == NULL, &target->problem);
	if (code == SL_OK)
		target->problem.text[0] = '\0';
	else if (target->key == NULL)
		set(&target->key_source, sl_strdup(path));
	free(path);
}

/* A node that was installed as a package: no file is no problem, one that may not be read is. */
static void
use_system(struct target *target)
{
	enum sl_code code = use_keys_file(target, SYSTEM_KEYS, target->url == NULL,
					  target->key == NULL, &target->problem);

	if (code != SL_INVALID)
		target->problem.text[0] = '\0';
}

static enum sl_code
use_rest(struct target *target, struct sl_error *error)
{
	const char *host = getenv("SLUICE_HOST"), *key = getenv("SLUICE_OPERATOR_KEY");
	enum sl_code code = SL_OK;

	/* DIR's daemon is meant: another one's address must not stand in for it. */
	if (target->directory != NULL)
		host = NULL;
	if (target->url == NULL && host != NULL && host[0] != '\0')
		code = set_host(target, host, "SLUICE_HOST", error);
	if (target->key == NULL && target->directory == NULL && key != NULL && key[0] != '\0')
		set_key(target, sl_strdup(key), "SLUICE_OPERATOR_KEY");
	if (code == SL_OK && target->directory == NULL &&
	    (target->url == NULL || target->key == NULL))
		use_system(target);
	if (code == SL_OK && target->url == NULL && target->directory == NULL)
		code = set_host(target, DEFAULT_URL, "the default", error);
	if (target->key_source == NULL || (target->key == NULL && target->directory == NULL))
		set(&target->key_source,
		    sl_strdup("--key-file, --dir, SLUICE_OPERATOR_KEY or " SYSTEM_KEYS));
	return code;
}

enum sl_code
target_find(const struct target_options *options, struct target *out, struct sl_error *error)
{
	enum sl_code code = SL_OK;

	*out = (struct target){0};
	if (options->host != NULL)
		code = set_host(out, options->host, "--host", error);
	if (options->key != NULL)
		set_key(out, sl_strdup(options->key), "--key");
	else if (code == SL_OK && options->key_file != NULL)
		code = use_key_file(out, options->key_file, error);
	if (code == SL_OK && options->directory != NULL)
		use_directory(out, options->directory);
	if (code == SL_OK)
		code = use_rest(out, error);
	return code;
}

void
target_fini(struct target *target)
{
	if (target->key != NULL)
		secret_wipe(target->key, strlen(target->key));
	free(target->key);
	free(target->url);
	free(target->shown);
	free(target->unix_path);
	free(target->url_source);
	free(target->key_source);
	free(target->directory);
}
