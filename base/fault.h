/* base/fault.h - named failure points for crash tests, compiled in by --enable-faults only.
 *
 * SLUICE_FAULT="name=kill[@n],name=stop,..." acts when the n-th visit of the point comes: kill
 * sends SIGKILL to this process, stop SIGSTOP, hang never returns.  Without --enable-faults
 * FAULT_POINT is nothing. */
#ifndef SLUICE_BASE_FAULT_H
#define SLUICE_BASE_FAULT_H

#ifdef HAVE_CONFIG_H
#include <config.h> /* SLUICE_FAULTS; not base/config.h */
#endif

#ifdef SLUICE_FAULTS
void fault_point(const char *name);
#define FAULT_POINT(name) fault_point(name)
#else
#define FAULT_POINT(name) ((void)0)
#endif

#endif
