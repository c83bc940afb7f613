#include "base/config.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/config_value.h"
#include "base/secret.h"

/* The file: `name = value` lines.  Space around both is dropped, a value goes to the end of its
 * line as it stands (no quotes, no escapes, '#' belongs to it), lines that start with '#' and empty
 * ones are skipped, and a name may stand there once. */

#define FILE_MAX ((size_t)1 << 20) /* bytes of a settings file */
#define ENV_PREFIX "SLUICE_"
#define CREDENTIALS_ENV "CREDENTIALS_DIRECTORY="
#define CREDENTIAL_MAX ((size_t)64 << 10) /* bytes of one */
#define FILE_SUFFIX "_file"

struct value {
	char *text; /* owned; NULL: unset */
	int64_t number;
	const char *source;
	int line; /* of the file, 0: not there */
};

struct config {
	const struct config_row *rows; /* borrowed */
	size_t count;
	struct value *values; /* owned, one per row */
	char **retired;       /* owned: texts of before, which others may have borrowed */
	size_t retired_count;
};

static size_t
find_row(const struct config *config, struct slice name) /* count: none */
{
	size_t i = 0;

	while (i < config->count && !slice_is(name, config->rows[i].name))
		i++;
	return i;
}

/* where stands in front of error texts ("sluice.conf:3"). */
static enum sl_code
set_value(struct config *config, size_t index, const char *text, const char *source,
	  const char *where, struct sl_error *error)
{
	const struct config_row *row = &config->rows[index];
	struct value *value = &config->values[index];
	struct sl_error why = {.text = "not allowed"};
	int64_t number = 0;
	enum sl_code code = config_parse(row, text, &number, &why);

	if (code == SL_OK && row->check != NULL)
		code = row->check(text, &why);
	if (code != SL_OK)
		return sl_fail(error, code, "%s: setting '%s': %s", where, row->name, why.text);
	free(value->text);
	value->text = sl_strdup(text);
	value->number = number;
	value->source = source;
	return SL_OK;
}

/* Defaults are ours: a wrong one is a bug, and they do not go through row->check, which may look
 * at the machine. */
static enum sl_code
set_defaults(struct config *config, struct sl_error *error)
{
	for (size_t i = 0; i < config->count; i++) {
		const struct config_row *row = &config->rows[i];
		struct value *value = &config->values[i];
		struct sl_error why;

		value->source = "default";
		if (row->fallback == NULL)
			continue;
		if (config_parse(row, row->fallback, &value->number, &why) != SL_OK)
			return sl_fail(error, SL_INTERNAL, "default of setting '%s': %s", row->name,
				       why.text);
		value->text = sl_strdup(row->fallback);
	}
	return SL_OK;
}

static struct slice
trim(struct slice text)
{
	while (text.len > 0 && isspace((unsigned char)text.data[0])) {
		text.data++;
		text.len--;
	}
	while (text.len > 0 && isspace((unsigned char)text.data[text.len - 1]))
		text.len--;
	return text;
}

static enum sl_code
file_line(struct config *config, struct slice line, const char *where, int number,
	  struct sl_error *error)
{
	const char *equals;
	struct slice name, value;
	enum sl_code code;
	size_t index;
	char *text;

	line = trim(line);
	if (line.len == 0 || line.data[0] == '#')
		return SL_OK;
	equals = memchr(line.data, '=', line.len);
	if (equals == NULL)
		return sl_fail(error, SL_INVALID, "%s: expected 'name = value'", where);
	name = trim((struct slice){line.data, (size_t)(equals - line.data)});
	value = trim((struct slice){equals + 1, line.len - (size_t)(equals + 1 - line.data)});
	index = find_row(config, name);
	if (index == config->count)
		return sl_fail(error, SL_INVALID, "%s: unknown setting '%.*s'", where,
			       (int)(name.len < 60 ? name.len : 60), name.data);
	if (config->values[index].line != 0)
		return sl_fail(error, SL_INVALID, "%s: setting '%s' is in line %d already", where,
			       config->rows[index].name, config->values[index].line);
	text = sl_strndup(value.data, value.len);
	code = set_value(config, index, text, "file", where, error);
	free(text);
	config->values[index].line = number;
	return code;
}

static enum sl_code
parse_file(struct config *config, const char *file, struct slice text, struct sl_error *error)
{
	enum sl_code code = SL_OK;

	for (int number = 1; text.len > 0 && code == SL_OK; number++) {
		const char *newline = memchr(text.data, '\n', text.len);
		size_t len = newline != NULL ? (size_t)(newline - text.data) : text.len;
		char *where = sl_asprintf("%s:%d", file, number);

		if (memchr(text.data, '\0', len) != NULL)
			code = sl_fail(error, SL_INVALID, "%s: a NUL byte", where);
		else
			code =
			    file_line(config, (struct slice){text.data, len}, where, number, error);
		free(where);
		text.data += newline != NULL ? len + 1 : len;
		text.len -= newline != NULL ? len + 1 : len;
	}
	return code;
}

/* At start and on reload only; a regular file does not block. */
static enum sl_code
read_file(const char *file, struct buf *out, struct sl_error *error)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	char chunk[8192];
	ssize_t got = 0;
	int failure;

	if (fd < 0)
		return sl_fail(error, errno == ENOENT ? SL_NOT_FOUND : SL_INVALID, "%s: %s", file,
			       strerror(errno));
	do {
		got = read(fd, chunk, sizeof(chunk));
		if (got > 0)
			buf_add(out, chunk, (size_t)got);
	} while ((got > 0 && !out->over) || (got < 0 && errno == EINTR));
	failure = errno;
	close(fd);
	if (got < 0)
		return sl_fail(error, SL_INVALID, "%s: %s", file, strerror(failure));
	if (out->over)
		return sl_fail(error, SL_INVALID, "%s: over %zu bytes", file, out->cap);
	return SL_OK;
}

static enum sl_code
load_file(struct config *config, const char *file, struct sl_error *error)
{
	struct buf text;
	enum sl_code code;

	if (file == NULL)
		return SL_OK;
	buf_init(&text, FILE_MAX);
	code = read_file(file, &text, error);
	if (code == SL_OK)
		code = parse_file(config, file, buf_slice(&text), error);
	buf_fini(&text);
	return code;
}

/* ---- credentials ----------------------------------------------------------------------------- */

/* The file of the setting's credential; the caller frees it. */
static char *
credential_path(const char *directory, const struct config_row *row, bool *is_file)
{
	const size_t len = strlen(row->name), tail = sizeof(FILE_SUFFIX) - 1;

	*is_file = len > tail && strcmp(row->name + len - tail, FILE_SUFFIX) == 0;
	return sl_asprintf("%s/%.*s", directory, (int)(*is_file ? len - tail : len), row->name);
}

/* Never quotes what the file holds. */
static enum sl_code
load_credential(struct config *config, size_t index, const char *directory, struct sl_error *error)
{
	bool is_file;
	char *path = credential_path(directory, &config->rows[index], &is_file), *text = NULL;
	struct slice value;
	struct buf bytes;
	enum sl_code code;

	buf_init(&bytes, CREDENTIAL_MAX);
	code = read_file(path, &bytes, error);
	value = trim(buf_slice(&bytes));
	if (code == SL_OK && value.len == 0)
		code = sl_fail(error, SL_INVALID, "credential %s is empty", path);
	if (code == SL_OK && memchr(value.data, '\0', value.len) != NULL)
		code = sl_fail(error, SL_INVALID, "credential %s: a NUL byte", path);
	if (code == SL_OK) {
		text = is_file ? sl_strdup(path) : sl_strndup(value.data, value.len);
		code = set_value(config, index, text, "credential", path, error);
	} else if (code == SL_NOT_FOUND) { /* not given this way */
		code = SL_OK;
	}
	if (bytes.data != NULL)
		secret_wipe(bytes.data, bytes.len);
	buf_fini(&bytes);
	free(text);
	free(path);
	return code;
}

static enum sl_code
load_credentials(struct config *config, char *const *environ_, struct sl_error *error)
{
	const size_t prefix = sizeof(CREDENTIALS_ENV) - 1;
	const char *directory = NULL;
	enum sl_code code = SL_OK;

	for (; environ_ != NULL && *environ_ != NULL; environ_++)
		if (strncmp(*environ_, CREDENTIALS_ENV, prefix) == 0)
			directory = *environ_ + prefix;
	if (directory == NULL || *directory == '\0')
		return SL_OK;
	if (access(directory, X_OK) != 0)
		return sl_fail(error, SL_INVALID, "CREDENTIALS_DIRECTORY, %s: %s", directory,
			       strerror(errno));
	for (size_t i = 0; i < config->count && code == SL_OK; i++)
		if ((config->rows[i].flags & CONFIG_SECRET) != 0)
			code = load_credential(config, i, directory, error);
	return code;
}

/* ---- environment and flags ------------------------------------------------------------------- */

/* Names that are no settings of the daemon: fault points, secrets that functions may read, and the
 * keys that clients on the same machine carry. */
static bool
is_foreign(struct slice name)
{
	static const char secrets[] = "SLUICE_SECRET_";

	return slice_is(name, "SLUICE_FAULT") || slice_is(name, "SLUICE_ACCOUNT_KEY") ||
	       slice_is(name, "SLUICE_OPERATOR_KEY") ||
	       strncmp(name.data, secrets, sizeof(secrets) - 1) == 0;
}

static size_t
find_env_row(const struct config *config, struct slice upper)
{
	for (size_t i = 0; i < config->count; i++) {
		const char *name = config->rows[i].name;
		size_t at = 0;

		while (at < upper.len && name[at] != '\0' &&
		       toupper((unsigned char)name[at]) == upper.data[at])
			at++;
		if (at == upper.len && name[at] == '\0')
			return i;
	}
	return config->count;
}

static enum sl_code
load_environment(struct config *config, char *const *environ_, struct sl_error *error)
{
	const size_t prefix = sizeof(ENV_PREFIX) - 1;

	for (; environ_ != NULL && *environ_ != NULL; environ_++) {
		struct slice name = {*environ_, strcspn(*environ_, "=")};
		const char *value = *environ_ + name.len;
		char where[100];
		size_t index;
		enum sl_code code;

		if (strncmp(*environ_, ENV_PREFIX, prefix) != 0 || *value == '\0')
			continue;
		index = find_env_row(config, (struct slice){name.data + prefix, name.len - prefix});
		if (index == config->count && is_foreign(name))
			continue;
		if (index == config->count)
			return sl_fail(error, SL_INVALID, "environment: unknown setting '%.*s'",
				       (int)(name.len < 60 ? name.len : 60), name.data);
		snprintf(where, sizeof(where), "environment, %.*s",
			 (int)(name.len < 60 ? name.len : 60), name.data);
		code = set_value(config, index, value + 1, "environment", where, error);
		if (code != SL_OK)
			return code;
	}
	return SL_OK;
}

static size_t
find_flag_row(const struct config *config, struct slice flag) /* without its "--" */
{
	for (size_t i = 0; i < config->count; i++) {
		const char *name = config->rows[i].name;
		size_t at = 0;

		while (at < flag.len && name[at] != '\0' &&
		       (name[at] == '_' ? '-' : name[at]) == flag.data[at])
			at++;
		if (at == flag.len && name[at] == '\0')
			return i;
	}
	return config->count;
}

/* Looks at argv[at]; *words is how many words of argv the setting there takes, 0: it is none. */
static enum sl_code
load_flag(struct config *config, int argc, char **argv, int at, int *words, struct sl_error *error)
{
	const char *text = argv[at] + 2, *value = NULL;
	struct slice flag = {text, strcspn(text, "=")};
	size_t index = find_flag_row(config, flag);
	char where[100];
	int64_t ignored;

	*words = 0;
	if (index == config->count)
		return SL_OK;
	snprintf(where, sizeof(where), "--%.*s", (int)(flag.len < 60 ? flag.len : 60), text);
	*words = 1;
	if (text[flag.len] == '=') {
		value = text + flag.len + 1;
	} else if (config->rows[index].type == CONFIG_BOOL &&
		   (at + 1 == argc || !config_parse_bool(argv[at + 1], &ignored))) {
		value = "true"; /* the next word, if any, is not its value */
	} else if (at + 1 == argc) {
		return sl_fail(error, SL_INVALID, "%s: a value is missing", where);
	} else {
		value = argv[at + 1];
		*words = 2;
	}
	return set_value(config, index, value, "flag", where, error);
}

/* keep gets a pointer per word that stays; argv itself is not touched. */
static enum sl_code
load_flags(struct config *config, int argc, char **argv, char **keep, int *kept,
	   struct sl_error *error)
{
	bool options = true;
	int words;

	*kept = 0;
	for (int at = 0; at<argc; at += words> 0 ? words : 1) {
		enum sl_code code = SL_OK;

		words = 0;
		if (strcmp(argv[at], "--") == 0)
			options = false;
		else if (at > 0 && options && strncmp(argv[at], "--", 2) == 0)
			code = load_flag(config, argc, argv, at, &words, error);
		if (code != SL_OK)
			return code;
		if (words == 0)
			keep[(*kept)++] = argv[at];
	}
	return SL_OK;
}

enum sl_code
config_load(const struct config_row *rows, const char *file, char *const *environ_, int *argc,
	    char **argv, struct config **out, struct sl_error *error)
{
	struct config *config = sl_alloc(sizeof(*config));
	int words = argc != NULL && argv != NULL ? *argc : 0, kept = 0;
	char **keep = sl_calloc((size_t)words + 1, sizeof(*keep));
	enum sl_code code;

	config->rows = rows;
	while (rows[config->count].name != NULL)
		config->count++;
	config->values = sl_calloc(config->count, sizeof(*config->values));
	code = set_defaults(config, error);
	if (code == SL_OK)
		code = load_file(config, file, error);
	if (code == SL_OK)
		code = load_credentials(config, environ_, error);
	if (code == SL_OK)
		code = load_environment(config, environ_, error);
	if (code == SL_OK)
		code = load_flags(config, words, argv, keep, &kept, error);
	*out = NULL;
	if (code == SL_OK) {
		if (kept < words) { /* the rest moves up, and a NULL ends it as before */
			memcpy(argv, keep, (size_t)(kept + 1) * sizeof(*argv));
			*argc = kept;
		}
		*out = config;
	} else {
		config_free(config);
	}
	free(keep);
	return code;
}

void
config_free(struct config *config)
{
	if (config == NULL)
		return;
	for (size_t i = 0; i < config->count; i++)
		free(config->values[i].text);
	for (size_t i = 0; i < config->retired_count; i++)
		free(config->retired[i]);
	free(config->values);
	free(config->retired);
	free(config);
}

static bool
is_same(const struct config_row *row, const struct value *a, const struct value *b)
{
	if (a->text == NULL || b->text == NULL)
		return a->text == b->text;
	return row->type == CONFIG_TEXT ? strcmp(a->text, b->text) == 0 : a->number == b->number;
}

static void
take_value(struct config *config, size_t index, const struct value *fresh)
{
	struct value *value = &config->values[index];

	if (value->text != NULL) { /* somebody may have borrowed it */
		config->retired = sl_realloc(config->retired, (config->retired_count + 1) *
								  sizeof(*config->retired));
		config->retired[config->retired_count++] = value->text;
	}
	*value = *fresh;
	value->text = fresh->text != NULL ? sl_strdup(fresh->text) : NULL;
}

int
config_apply(struct config *config, const struct config *fresh, config_change_cb *cb, void *arg)
{
	bool *differs = sl_calloc(config->count, sizeof(*differs));
	int count = 0;

	assert(config->rows == fresh->rows);
	for (size_t i = 0; i < config->count; i++) {
		differs[i] = !is_same(&config->rows[i], &config->values[i], &fresh->values[i]);
		count += differs[i];
		if (differs[i] && (config->rows[i].flags & CONFIG_LIVE) != 0)
			take_value(config, i, &fresh->values[i]);
	}
	for (size_t i = 0; i < config->count; i++)
		if (differs[i])
			cb(arg, &config->rows[i], (config->rows[i].flags & CONFIG_LIVE) != 0);
	free(differs);
	return count;
}

static const struct value *
must_find(const struct config *config, const char *name, unsigned types)
{
	size_t index = find_row(config, slice_text(name));

	assert(index < config->count && "no such setting");
	assert((1u << config->rows[index].type & types) != 0 && "setting has another type");
	(void)types;
	return &config->values[index];
}

const char *
config_text(const struct config *config, const char *name)
{
	return must_find(config, name, 1u << CONFIG_TEXT)->text;
}

int64_t
config_int(const struct config *config, const char *name)
{
	return must_find(config, name, 1u << CONFIG_INT | 1u << CONFIG_SECONDS | 1u << CONFIG_BYTES)
	    ->number;
}

bool
config_bool(const struct config *config, const char *name)
{
	return must_find(config, name, 1u << CONFIG_BOOL)->number != 0;
}

const char *
config_source(const struct config *config, const char *name)
{
	return must_find(config, name, ~0u)->source;
}

void
config_help(const struct config_row *rows, struct buf *out)
{
	static const char *const kinds[] = {
	    [CONFIG_TEXT] = "TEXT",        [CONFIG_INT] = "NUMBER", [CONFIG_BOOL] = "BOOL",
	    [CONFIG_SECONDS] = "DURATION", [CONFIG_BYTES] = "SIZE",
	};

	for (; rows->name != NULL; rows++) {
		buf_add_text(out, "  --");
		for (const char *c = rows->name; *c != '\0'; c++)
			buf_add_char(out, *c == '_' ? '-' : *c);
		buf_printf(out, "=%s\n      %s", kinds[rows->type], rows->help);
		if (rows->fallback != NULL && *rows->fallback != '\0')
			buf_printf(out, " (default: %s)", rows->fallback);
		buf_add_char(out, '\n');
	}
}
