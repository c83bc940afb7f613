/* daemon/notify.h - tell systemd what state we are in (sd_notify(3) protocol: a datagram to
 * NOTIFY_SOCKET), and how often it wants a sign of life (sd_watchdog_enabled(3)). */
#ifndef SLUICE_DAEMON_NOTIFY_H
#define SLUICE_DAEMON_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct notify; /* opaque */

/* The texts of WATCHDOG_USEC and WATCHDOG_PID, NULL where unset; self: our process id.  *usec is 0
 * when no sign of life is asked of us. */
SL_MUST_USE enum sl_code notify_parse_watchdog(const char *usec_text, const char *pid, long self,
					       int64_t *usec, struct sl_error *error);
/* Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment: they are not our
 * children's.  *out is the caller's also when there is no such socket: then nothing is sent. */
SL_MUST_USE enum sl_code notify_new(struct notify **out, struct sl_error *error);
void notify_free(struct notify *notify); /* NULL is fine */
bool notify_is_on(const struct notify *notify);
/* How often WATCHDOG=1 is due at least, microseconds; 0: never. */
int64_t notify_watchdog_usec(const struct notify *notify);

/* state: lines "READY=1\nSTATUS=..".  A failure is logged and forgotten. */
void notify_send(struct notify *notify, const char *state);
/* For a wait in the start or the stop that may be long: says what we wait for, and that it is to be
 * borne; called as often as you like, sent every few seconds.  what: one line. */
void notify_busy(struct notify *notify, const char *what);

#endif
