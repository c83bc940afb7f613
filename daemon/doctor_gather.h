/* daemon/doctor_gather.h - asks everything that the doctor wants to know, at once, for at most two seconds. */
#ifndef SLUICE_DAEMON_DOCTOR_GATHER_H
#define SLUICE_DAEMON_DOCTOR_GATHER_H

#include "daemon/daemon.h"
#include "daemon/doctor.h"

#define GATHER_MS 2000

/* report is borrowed for the call. */
typedef void gather_cb(void *arg, const struct doctor_report *report);
/* Reads only.  What does not answer in time counts as away.  cb comes once, from the loop. */
void gather_start(struct daemon *daemon, gather_cb *cb, void *arg);

#endif
