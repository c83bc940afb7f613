/* daemon/notify.h - tell systemd what state we are in (sd_notify(3) protocol: a datagram to
 * NOTIFY_SOCKET). */
#ifndef SLUICE_DAEMON_NOTIFY_H
#define SLUICE_DAEMON_NOTIFY_H

/* state: "READY=1", "STOPPING=1".  Nothing happens without NOTIFY_SOCKET. */
void notify_send(const char *state);

#endif
