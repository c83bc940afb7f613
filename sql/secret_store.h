/* sql/secret_store.h - what secret.c and secret_pass.c share.  Private to them. */
#ifndef SLUICE_SQL_SECRET_STORE_H
#define SLUICE_SQL_SECRET_STORE_H

#include "sql/secret.h"

struct pg *secret_store_pg(struct secret_store *store);

#endif
