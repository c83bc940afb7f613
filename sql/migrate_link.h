/* sql/migrate_link.h - a blocking connection, for what is done before the loop runs.  Private to sql/. */
#ifndef SLUICE_SQL_MIGRATE_LINK_H
#define SLUICE_SQL_MIGRATE_LINK_H

#include <libpq-fe.h>

#include "base/error.h"

/* To a server that takes writes.  *out is the caller's (PQfinish()) when it is SL_OK, else SL_UNAVAILABLE. */
SL_MUST_USE enum sl_code migrate_connect(const char *conninfo, PGconn **out,
					 struct sl_error *error);

#endif
