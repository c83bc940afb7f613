/* cli/target.h - which service, with which key, and from where we know both.
 *
 * The host: --host, else DIR/keys.env, else SLUICE_HOST, else /etc/sluice/keys.env, else
 * http://127.0.0.1:3003.  The key: --key, --key-file, DIR/keys.env, SLUICE_OPERATOR_KEY,
 * /etc/sluice/keys.env.  Errors name the source, never the key. */
#ifndef SLUICE_CLI_TARGET_H
#define SLUICE_CLI_TARGET_H

#include <stdbool.h>

#include "base/error.h"

struct target {
	char *url; /* owned: "http://127.0.0.1:3003", no slash at the end; NULL: DIR does not say */
	char *shown; /* owned: as people write it: "http://...", "unix:/run/x.sock"; NULL as url */
	char *unix_path;  /* owned; NULL: by url */
	char *key;        /* owned, wiped; NULL: none was found */
	char *url_source; /* owned: "--host", "/x/keys.env", "the default" */
	char *key_source; /* owned: where key is from, or where one was looked for */
	char *directory;  /* owned; NULL: no --dir */
	struct sl_error
	    problem; /* why DIR/keys.env or /etc/sluice/keys.env gave nothing; "": fine */
};

struct target_options { /* borrowed; NULL: not given */
	const char *host, *key, *key_file, *directory;
};

/* SL_INVALID: the host is none; SL_UNAVAILABLE: the key file gives no key.  A
 * missing DIR/keys.env is no error here but in target->problem: the doctor wants to go on.  Warns on
 * stderr about a key file that everybody can read. */
SL_MUST_USE enum sl_code target_find(const struct target_options *options, struct target *out,
				     struct sl_error *error);
void target_fini(struct target *target);

#endif
