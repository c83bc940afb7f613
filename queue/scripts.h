/* queue/scripts.h - the Lua files of queue/lua, as they stand there; scripts.c is made by
 * embed.awk. */
#ifndef SLUICE_QUEUE_SCRIPTS_H
#define SLUICE_QUEUE_SCRIPTS_H

#include <stddef.h>

enum script_id { /* in the order in which local.mk names the files */
		 SCRIPT_PUSH,
		 SCRIPT_EXCHANGE,
		 SCRIPT_JOIN,
		 SCRIPT_EXPIRE,
		 SCRIPT_WAKE,
		 SCRIPT_MISSING,
		 SCRIPT_POSITION,
		 SCRIPT_BUILD,
		 SCRIPT_CLEAR,
		 SCRIPT_PUBLISH,
		 SCRIPT_LOCK_ACQUIRE,
		 SCRIPT_LOCK_RELEASE,
		 SCRIPT_LIVE,
		 SCRIPT_DEPTH,
		 SCRIPT_LIMITS,
		 SCRIPT_OVERVIEW,
		 SCRIPT_RUNS,
		 SCRIPT_CALL_PUSH,
		 SCRIPT_CALL_TAKE,
		 SCRIPT_CALL_WITHDRAW,
		 SCRIPT_CALL_ANSWER,
		 SCRIPT_GATE_ENTER,
		 SCRIPT_GATE_LEAVE,
		 SCRIPT_GATE_LIST,
		 SCRIPT_GATE_CLEAR,
		 SCRIPT_COUNT,
};

struct script {
	const char *name;
	const char *text; /* not NUL-terminated */
	size_t len;
};

extern const struct script scripts[SCRIPT_COUNT];

#endif
