/* sql/migrations.h - the files of sql/migrations/, built into the binary (made by a rule in
 * local.mk). */
#ifndef SLUICE_SQL_MIGRATIONS_H
#define SLUICE_SQL_MIGRATIONS_H

struct migration {
	const char *name; /* "0001_account"; its number is its place in the list */
	const char *text;
};

extern const struct migration migrations[]; /* in order; ends with a NULL name */

#endif
