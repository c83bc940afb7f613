/* runtime/landlock.h - a second wall behind seccomp, where the kernel has it.
 *
 * Seccomp judges calls by their numbers; Landlock judges what they reach.  Should a filter have a
 * hole, or a kernel a new call that does what an allowed one does, there is still no file to open,
 * no TCP port to connect to and nobody outside to signal.  Descriptors that are open stay as they
 * are, and a memfd has no path, so snapshots do not notice. */
#ifndef SLUICE_RUNTIME_LANDLOCK_H
#define SLUICE_RUNTIME_LANDLOCK_H

#include "base/error.h"

/* Takes all files, and from ABI 4 on TCP and from ABI 6 on abstract sockets and signals to others,
 * from the calling process and its children, for good, and tries that they are gone.  After
 * PR_SET_NO_NEW_PRIVS and before seccomp.  *abi: the kernel's version, 0 where it has no Landlock.
 * SL_UNAVAILABLE: it has and refuses; SL_INTERNAL: it says yes and a file can still be opened. */
SL_MUST_USE enum sl_code landlock_deny_all(int *abi, struct sl_error *error);

#endif
