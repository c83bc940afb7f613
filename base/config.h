/* base/config.h - settings from one table: file, then credentials, then environment, then flags; the
 * last one wins.
 *
 * A setting `api_rate_limit` is `api_rate_limit = 100` in the file, SLUICE_API_RATE_LIMIT in the
 * environment and --api-rate-limit=100 (or two words) on the command line.  Everything is checked
 * before anything is applied: one bad key changes nothing.  Unknown settings are errors that name
 * file and line.
 *
 * A credential is a file of the directory that CREDENTIALS_DIRECTORY names (systemd.exec(5)); other
 * files there are nobody's business here.  Of a setting `redis_url` the file `redis_url` holds the
 * value; of a setting `keys_file` the file `keys` is the file. */
#ifndef SLUICE_BASE_CONFIG_H
#define SLUICE_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum config_type {
	CONFIG_TEXT,
	CONFIG_INT,     /* min..max of the row */
	CONFIG_BOOL,    /* true/false/1/0/yes/no/on/off */
	CONFIG_SECONDS, /* "15s", "500ms", "5m", "2h", "7d" or plain seconds; kept in milliseconds
			 */
	CONFIG_BYTES,   /* "128MiB", "64k" or plain bytes */
};

enum config_flag {
	CONFIG_LIVE = 1,   /* config_apply() may change it: read at each use, never kept */
	CONFIG_SECRET = 2, /* a credential may give it; texts only */
};

struct config_row {
	const char *name; /* snake_case */
	enum config_type type;
	const char *fallback; /* default, as it would stand in the file; NULL: none */
	int64_t min, max;     /* for numbers, after conversion */
	const char *help;     /* one line; config_help() and the man page are made from it */
	/* Extra check of the text, or NULL. */
	enum sl_code (*check)(const char *text, struct sl_error *error);
	unsigned flags; /* enum config_flag bits */
};

struct config; /* opaque; after config_load only config_apply() changes it */

/* rows ends with a row whose name is NULL and is borrowed for the config's life.  file may be NULL.
 * argv: only long options that name settings are looked at and removed (argc shrinks); others stay.
 * environ_: NULL-terminated "NAME=value" list; SLUICE_* names that no row has are errors. */
SL_MUST_USE enum sl_code config_load(const struct config_row *rows, const char *file,
				     char *const *environ_, int *argc, char **argv,
				     struct config **out, struct sl_error *error);
void config_free(struct config *config);

/* name must be of the table (asserted). */
const char *config_text(const struct config *config,
			const char *name); /* NULL when unset without default */
int64_t config_int(const struct config *config, const char *name); /* ints, milliseconds, bytes */
bool config_bool(const struct config *config, const char *name);
/* "default", "file", "credential", "environment" or "flag": where the value came from. */
const char *config_source(const struct config *config, const char *name);

typedef void config_change_cb(void *arg, const struct config_row *row, bool applied);
/* Gives config the values of fresh (of the same table) where CONFIG_LIVE allows it; cb, in the
 * table's order and after all of them are there, for each value that differs, with applied false
 * where it was left.  Texts borrowed from config stay valid.  Returns how many differ. */
int config_apply(struct config *config, const struct config *fresh, config_change_cb *cb,
		 void *arg);
void config_help(const struct config_row *rows, struct buf *out); /* for --help */

#endif
