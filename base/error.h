/* base/error.h - one small set of error codes, and a text for the human who reads it.
 *
 * The code tells the caller what to do next; the text names what was wrong and, where there is
 * one, the remedy.  Texts never hold a secret: they end up in logs and in answers. */
#ifndef SLUICE_BASE_ERROR_H
#define SLUICE_BASE_ERROR_H

#define SL_MUST_USE __attribute__((warn_unused_result))
#define SL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum sl_code {
	SL_OK = 0,
	SL_INVALID,     /* the input is wrong; trying again cannot help */
	SL_NOT_FOUND,   /* what was named does not exist */
	SL_CONFLICT,    /* someone else won: stale lease, duplicate key */
	SL_UNAVAILABLE, /* a dependency is down; retry with backoff */
	SL_EXHAUSTED,   /* one of our limits: pool, bytes, quota, time */
	SL_INTERNAL,    /* a bug: log it, settle the attempt as failed */
};

struct sl_error {
	enum sl_code code;
	char text[240];
};

/* Fills error (which may be NULL) and returns code, so that callers can write
 * `return sl_fail(error, SL_INVALID, "ttl is %d", ttl);`.  Long texts are cut; line
 * breaks and runs of space become one space. */
enum sl_code sl_fail(struct sl_error *error, enum sl_code code, const char *format, ...)
    SL_PRINTF(3, 4);

/* The code's name in lower case ("invalid"), for logs; never NULL. */
const char *sl_code_name(enum sl_code code);

#endif
