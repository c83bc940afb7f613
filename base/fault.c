#include "base/fault.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

#ifdef SLUICE_FAULTS

struct fault {
	char *name;                /* owned, for the life of the process */
	int signo;                 /* 0: hang */
	unsigned long visits_left; /* acts when it reaches 0 */
};

static struct {
	int loaded;
	size_t count;
	struct fault *list; /* owned, for the life of the process */
} faults;

static void
die_of(const char *item)
{
	fprintf(stderr, "SLUICE_FAULT: '%s' is not name=kill[@n], name=stop[@n] or name=hang[@n]\n",
		item);
	abort();
}

static struct fault
parse_item(const char *item)
{
	const char *equals = strchr(item, '=');
	struct fault fault = {.visits_left = 1};
	const char *action, *visits;
	size_t len;

	if (equals == NULL || equals == item)
		die_of(item);
	action = equals + 1;
	len = strcspn(action, "@");
	if (len == 4 && strncmp(action, "kill", len) == 0)
		fault.signo = SIGKILL;
	else if (len == 4 && strncmp(action, "stop", len) == 0)
		fault.signo = SIGSTOP;
	else if (len == 4 && strncmp(action, "hang", len) == 0)
		fault.signo = 0;
	else
		die_of(item);
	if (action[len] == '@') {
		char *end;

		visits = action + len + 1;
		fault.visits_left = strtoul(visits, &end, 10);
		if (*visits < '0' || *visits > '9' || *end != '\0' || fault.visits_left == 0)
			die_of(item);
	}
	fault.name = sl_strndup(item, (size_t)(equals - item));
	return fault;
}

static void
load(void)
{
	const char *setting = getenv("SLUICE_FAULT");
	char *copy, *rest, *item;

	faults.loaded = 1;
	if (setting == NULL)
		return;
	copy = sl_strdup(setting);
	for (item = strtok_r(copy, ",", &rest); item != NULL; item = strtok_r(NULL, ",", &rest)) {
		faults.list = sl_realloc(faults.list, (faults.count + 1) * sizeof(*faults.list));
		faults.list[faults.count++] = parse_item(item);
	}
	free(copy);
}

void
fault_point(const char *name)
{
	if (!faults.loaded)
		load();
	for (size_t i = 0; i < faults.count; i++) {
		struct fault *fault = &faults.list[i];

		if (fault->visits_left == 0 || strcmp(fault->name, name) != 0)
			continue;
		if (--fault->visits_left > 0)
			continue;
		while (fault->signo ==
		       0) /* as a loop that is blocked: signals are taken, nothing is done */
			(void)pause();
		kill(getpid(), fault->signo);
	}
}

#endif
