#include "sql/unit.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

struct unit *
unit_new(void)
{
	return sl_alloc(sizeof(struct unit));
}

void
unit_free(struct unit *unit)
{
	for (int i = 0; i < unit->count; i++) {
		for (int j = 0; j < unit->commands[i].count; j++)
			free(unit->commands[i].params[j].bytes);
		PQclear(unit->results[i]);
	}
	free(unit->commands);
	free(unit->results);
	free(unit);
}

int
unit_add(struct unit *unit, const struct unit_statement *statement)
{
	if (unit->count == unit->size) {
		int size = unit->size == 0 ? 2 : unit->size * 2;

		unit->commands = sl_realloc(unit->commands, (size_t)size * sizeof(*unit->commands));
		unit->results = sl_realloc(unit->results, (size_t)size * sizeof(*unit->results));
		unit->size = size;
	}
	memset(&unit->commands[unit->count], 0, sizeof(*unit->commands));
	unit->commands[unit->count].statement = statement;
	unit->results[unit->count] = NULL;
	return unit->count++;
}

static struct unit_param *
unit_param(struct unit *unit)
{
	struct unit_command *command = &unit->commands[unit->count - 1];

	assert(unit->count > 0 && command->count < UNIT_PARAMS_MAX);
	return &command->params[command->count++];
}

void
unit_bind_text(struct unit *unit, const char *text)
{
	struct unit_param *param = unit_param(unit);

	if (text == NULL)
		return;
	param->bytes = sl_strdup(text);
	param->len = strlen(text);
}

void
unit_bind_int(struct unit *unit, int64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, number);
	unit_bind_text(unit, text);
}

void
unit_bind_bool(struct unit *unit, bool yes)
{
	unit_bind_text(unit, yes ? "t" : "f");
}

void
unit_bind_array(struct unit *unit, struct value_array *array)
{
	struct unit_param *param = unit_param(unit);

	param->bytes = value_array_take(array, &param->len);
	param->format = 1;
}

void
unit_send(struct unit *unit, struct pg *pg, int64_t wait_ms, unit_cb *cb, void *arg)
{
	unit->cb = cb;
	unit->arg = arg;
	unit->wait_until_ms = clock_mono_ms() + wait_ms;
	pg_submit(pg, unit);
}

bool
unit_transmit(const struct unit *unit, int command, PGconn *conn, bool prepared)
{
	const struct unit_command *it = &unit->commands[command];
	const char *values[UNIT_PARAMS_MAX];
	int lengths[UNIT_PARAMS_MAX], formats[UNIT_PARAMS_MAX];

	if (unit->prepare)
		return PQsendPrepare(conn, it->statement->name, it->statement->text, 0, NULL) == 1;
	for (int i = 0; i < it->count; i++) {
		values[i] = it->params[i].bytes;
		lengths[i] = (int)it->params[i].len;
		formats[i] = it->params[i].format;
	}
	if (!prepared || it->statement->name == NULL)
		return PQsendQueryParams(conn, it->statement->text, it->count, NULL, values,
					 lengths, formats, 1) == 1;
	return PQsendQueryPrepared(conn, it->statement->name, it->count, values, lengths, formats,
				   1) == 1;
}

/* What a SQLSTATE (Postgres manual, appendix A) asks the caller to do. */
static enum sl_code
unit_code(const char *state)
{
	static const struct {
		const char *prefix;
		enum sl_code code;
	} table[] = {
	    {"SL404", SL_NOT_FOUND},   /* raised by require() of the schema */
	    {"SL409", SL_CONFLICT},    /* likewise */
	    {"23505", SL_CONFLICT},    /* unique_violation */
	    {"23503", SL_NOT_FOUND},   /* foreign_key_violation: the row it belongs to is gone */
	    {"22", SL_INVALID},        /* data exception: bytes that are no UTF-8, out of range */
	    {"08", SL_UNAVAILABLE},    /* connection */
	    {"25006", SL_UNAVAILABLE}, /* read_only_sql_transaction: no longer the primary */
	    {"40", SL_UNAVAILABLE},    /* deadlock, serialization: again */
	    {"53", SL_UNAVAILABLE},    /* disk full, out of memory, too many connections */
	    {"55P03", SL_UNAVAILABLE}, /* lock_not_available */
	    {"57", SL_UNAVAILABLE},    /* cancelled, shutting down */
	    {"58030", SL_UNAVAILABLE}, /* io_error */
	};

	for (size_t i = 0; state != NULL && i < sizeof(table) / sizeof(*table); i++)
		if (strncmp(state, table[i].prefix, strlen(table[i].prefix)) == 0)
			return table[i].code;
	return SL_INTERNAL;
}

/* The server's message, unless it would quote a value: those of classes 22 and 23 do. */
static void
unit_refused(struct unit *unit, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);

	if (unit->answer.code != SL_OK || state == NULL) /* libpq's own error, no answer */
		return;
	unit->answer.code = unit_code(state);
	unit->read_only = strcmp(state, "25006") == 0;
	if (constraint != NULL)
		sl_fail(&unit->answer.error, unit->answer.code, "postgres: %s (%s)", constraint,
			state);
	else if (message == NULL || strncmp(state, "22", 2) == 0)
		sl_fail(&unit->answer.error, unit->answer.code, "postgres: error %s", state);
	else
		sl_fail(&unit->answer.error, unit->answer.code, "postgres: %s (%s)", message,
			state);
}

void
unit_take(struct unit *unit, PGresult *result)
{
	switch (PQresultStatus(result)) {
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
		if (unit->at >= 0 && unit->at < unit->count && unit->results[unit->at] == NULL) {
			unit->results[unit->at] = result;
			return;
		}
		break;
	case PGRES_PIPELINE_ABORTED: /* a command before it failed and says why */
		break;
	case PGRES_FATAL_ERROR:
	case PGRES_NONFATAL_ERROR:
	case PGRES_BAD_RESPONSE:
	case PGRES_EMPTY_QUERY:
	case PGRES_COPY_OUT:
	case PGRES_COPY_IN:
	case PGRES_COPY_BOTH:
	case PGRES_SINGLE_TUPLE:
	case PGRES_PIPELINE_SYNC:
		unit_refused(unit, result);
		break;
	}
	PQclear(result);
}

bool
unit_is_whole(const struct unit *unit)
{
	for (int i = 0; i < unit->count && unit->answer.code == SL_OK; i++)
		if (unit->results[i] == NULL)
			return false;
	return true;
}

void
unit_finish(struct unit *unit)
{
	unit->answer.results = unit->answer.code == SL_OK ? unit->results : NULL;
	unit->answer.count = unit->count;
	if (unit->cb != NULL)
		unit->cb(unit->arg, &unit->answer);
	unit_free(unit);
}

void
unit_fail(struct unit *unit, const char *why)
{
	unit->answer.code = sl_fail(&unit->answer.error, SL_UNAVAILABLE, "postgres: %s", why);
	unit->answer.in_doubt = unit->sent;
}

void
unit_fail_with(struct unit *unit, const struct unit_statement *statement,
	       const struct unit_answer *answer)
{
	for (int i = 0; i < unit->count && unit->answer.code == SL_OK; i++) {
		if (unit->commands[i].statement != statement)
			continue;
		unit->answer.code = answer->code;
		unit->answer.error = answer->error;
	}
}
