/* daemon/compiler.h - a warm Node worker that lowers deployed JavaScript to what the runners'
 * engine takes.
 *
 * Started at the first deploy, kept, and replaced when it hangs, dies or grows: compile_timeout and
 * compile_memory bound each request, and a source that kills it fails alone. */
#ifndef SLUICE_DAEMON_COMPILER_H
#define SLUICE_DAEMON_COMPILER_H

#include "base/error.h"
#include "daemon/daemon.h"

struct compiler; /* opaque */

struct compiler *compiler_new(struct daemon *daemon, const char *directory);
void compiler_free(struct compiler *compiler); /* kills the worker */

/* Are Node.js and the compiler where the settings say?  SL_UNAVAILABLE: which is not. */
SL_MUST_USE enum sl_code compiler_is_there(const struct compiler *compiler,
					   struct sl_error *error);

/* SL_OK: code is ES5 text, borrowed.  SL_INVALID: the source cannot be compiled; error names
 * construct, line and column.  SL_UNAVAILABLE: no Node.js or no compiler here (text says the
 * remedy). */
typedef void compiler_cb(void *arg, enum sl_code code, const char *es5,
			 const struct sl_error *error);
/* js: CommonJS bundle; ts: the function's TypeScript, for the places in errors, may be NULL; type:
 * "action", "sync", "on-event".  cb once, from the loop. */
void compiler_lower(struct compiler *compiler, const char *js, const char *ts, const char *name,
		    const char *integration, const char *type, compiler_cb *cb, void *arg);

#endif
