/* cli/cli.h - what a command gets: where the service is, how to ask it, how to print. */
#ifndef SLUICE_CLI_CLI_H
#define SLUICE_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/target.h"

struct guard;
struct http_client;
struct loop;

struct cli {
	struct loop *loop;        /* owned by main, as all below */
	struct guard *guard;      /* opens every address: the operator says where to go */
	struct http_client *http; /* NULL until the first request */
	struct target target;
	bool json;          /* one JSON document on stdout, errors as JSON on stderr */
	bool yes;           /* do not ask before what cannot be taken back */
	int64_t timeout_ms; /* of one request */
};

#endif
