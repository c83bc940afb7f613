/* daemon/api/record.h - reading the records cache over HTTP. */
#ifndef SLUICE_DAEMON_API_RECORD_H
#define SLUICE_DAEMON_API_RECORD_H

#include "daemon/api/api.h"

/* Answers as GET /records does.  model NULL: the query names it. */
void record_reply(struct api_call *call, const char *model);

#endif
