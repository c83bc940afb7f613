#include "daemon/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/envelope.h"
#include "base/log.h"
#include "daemon/standalone.h"
#include "sql/secret.h"

#define CHECK_TEXT "sluice"
#define OWN_MAX 4096

const char *
seal_source(const struct daemon *daemon, const struct config *config)
{
	if (daemon->standalone != NULL)
		return standalone_encryption_key_file(daemon->standalone);
	if (config_text(config, "encryption_key") != NULL)
		return "SLUICE_ENCRYPTION_KEY";
	return config_text(config, "encryption_key_file");
}

enum sl_code
seal_load(const struct daemon *daemon, const struct config *config, struct secret_ring **out,
	  struct sl_error *error)
{
	const char *text =
	    daemon->standalone == NULL ? config_text(config, "encryption_key") : NULL;
	struct sl_error why;
	enum sl_code code;

	if (text != NULL)
		return secret_ring_parse(slice_text(text), "SLUICE_ENCRYPTION_KEY", out, error);
	code = secret_ring_load(seal_source(daemon, config), out, &why);
	return code == SL_OK ? SL_OK : sl_fail(error, code, "encryption_key_file: %s", why.text);
}

/* ---- are they the right ones? ------------------------------------------------------------------ */

static char *
seal_own(const struct secret_ring *ring, const char *row, struct slice plain)
{
	struct buf sealed;

	buf_init(&sealed, OWN_MAX);
	secret_seal(ring, plain, row, &sealed);
	return buf_take(&sealed, NULL);
}

/* What to say when `sealed`, which `what` names, does not open. */
static enum sl_code
wrong_keys(const struct daemon *daemon, const char *what, const char *sealed,
	   struct sl_error *error)
{
	char id[SECRET_KEY_ID] = "?";

	(void)secret_sealed_id(slice_text(sealed), id);
	if (secret_ring_has(daemon->ring, id))
		return sl_fail(
		    error, SL_INVALID,
		    "%s of this database is damaged: restore the table secret from a backup", what);
	return sl_fail(error, SL_INVALID,
		       "%s: these keys do not open %s of this database, which key %s sealed "
		       "(the first here is %s): add that key, or correct database_url",
		       seal_source(daemon, daemon->config), what, id,
		       secret_ring_id(daemon->ring, 0));
}

static enum sl_code
open_own(const struct daemon *daemon, const char *name, const char *row, const char *sealed,
	 struct buf *plain, struct sl_error *error)
{
	if (secret_open(daemon->ring, slice_text(sealed), row, plain, NULL) == SL_OK)
		return SL_OK;
	return wrong_keys(daemon, name, sealed, error);
}

/* Before the first check value is made: of what an earlier release has sealed something must open. */
static enum sl_code
try_samples(const struct daemon *daemon, const struct secret_first *first, struct sl_error *error)
{
	struct buf plain;
	bool opened = first->count == 0;

	buf_init(&plain, 1 << 20);
	for (int i = 0; i < first->count && !opened; i++) {
		opened = secret_open(daemon->ring, slice_text(first->samples[i].sealed),
				     first->samples[i].row, &plain, NULL) == SL_OK;
		if (plain.data != NULL)
			secret_wipe(plain.data, plain.len);
		buf_clear(&plain);
	}
	buf_fini(&plain);
	return opened ? SL_OK
		      : wrong_keys(daemon, "the credentials", first->samples[0].sealed, error);
}

static enum sl_code
make(struct daemon *daemon, const char *conninfo, struct secret_first *first,
     struct sl_error *error)
{
	enum sl_code code = try_samples(daemon, first, error);
	uint8_t key[sizeof(daemon->envelope_key)];
	char *check, *envelope;

	if (code != SL_OK)
		return code;
	envelope_key(daemon->ring, key); /* as earlier releases derive it: they may run beside */
	check = seal_own(daemon->ring, "secret:check", SLICE_LITERAL(CHECK_TEXT));
	envelope = seal_own(daemon->ring, "secret:envelope",
			    (struct slice){(const char *)key, sizeof(key)});
	secret_wipe(key, sizeof(key));
	secret_first_fini(first);
	code = secret_first_write(conninfo, check, envelope, first, error);
	free(check);
	free(envelope);
	if (code == SL_OK)
		log_info("check_value_made", "key=%s", secret_ring_id(daemon->ring, 0));
	return code;
}

static enum sl_code
open_both(struct daemon *daemon, const struct secret_first *first, struct sl_error *error)
{
	enum sl_code code;
	struct buf plain;

	if (first->check == NULL || first->envelope == NULL)
		return sl_fail(error, SL_INVALID,
			       "the table secret lacks a row: restore it from a backup");
	buf_init(&plain, OWN_MAX);
	code = open_own(daemon, "the check value", "secret:check", first->check, &plain, error);
	if (code == SL_OK && !slice_is(buf_slice(&plain), CHECK_TEXT))
		code = sl_fail(error, SL_INVALID, "the check value of this database is not ours");
	buf_clear(&plain);
	if (code == SL_OK)
		code = open_own(daemon, "the key of the queue", "secret:envelope", first->envelope,
				&plain, error);
	if (code == SL_OK && plain.len != sizeof(daemon->envelope_key))
		code = sl_fail(error, SL_INVALID, "the key of the queue has another length");
	if (code == SL_OK)
		memcpy(daemon->envelope_key, plain.data, plain.len);
	if (plain.data != NULL)
		secret_wipe(plain.data, plain.len);
	buf_fini(&plain);
	return code;
}

enum sl_code
seal_check(struct daemon *daemon, const char *conninfo, struct sl_error *error)
{
	struct secret_first first;
	enum sl_code code = secret_first_read(conninfo, &first, error);

	if (code == SL_OK && first.check == NULL && first.envelope == NULL)
		code = make(daemon, conninfo, &first, error);
	if (code == SL_OK)
		code = open_both(daemon, &first, error);
	secret_first_fini(&first);
	return code;
}
