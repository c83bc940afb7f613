/* daemon/api/rate.h - how many requests a minute: fixed windows of 60 s, counted by this node
 * (wire.md 1.5, 18.12).
 *
 * A bucket for the account, one for what functions ask of the API over HTTP, one for incoming
 * webhooks, and one for each peer address that sends requests without a good key. */
#ifndef SLUICE_DAEMON_API_RATE_H
#define SLUICE_DAEMON_API_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RATE_WINDOW_MS 60000
#define RATE_HEADERS_SIZE 160
#define RATE_PEERS_MAX 10000 /* addresses counted apart in a window; further ones share a bucket */
#define RATE_PEER_SIZE 48

struct rate; /* one bucket; opaque */

struct rates; /* all buckets of this process; opaque */
struct rates *rates_new(void);
void rates_free(struct rates *rates); /* NULL is fine */

enum rate_kind { RATE_ACCOUNT, RATE_FUNCTIONS, RATE_WEBHOOKS };
/* Borrowed, for the life of rates. */
struct rate *rate_of(struct rates *rates, enum rate_kind kind);
/* The bucket of a peer, as http_request_peer() names it: an IPv6 one shares it with its /64, which
 * one host can fill at will.  Forwarded headers are not looked at: anybody can write them.
 * Borrowed until the next call. */
struct rate *rate_of_peer(struct rates *rates, const char *peer, int64_t wall_ms);
/* The name of that bucket: the address, or the /64 of an IPv6 one. */
void rate_peer_name(const char *peer, char out[RATE_PEER_SIZE]);

/* Takes points; false: the bucket is empty, and *retry_s is after how many seconds it is filled
 * again (1..60).  headers: the three X-RateLimit lines, whole. */
bool rate_take(struct rate *rate, int64_t limit, int64_t points, int64_t wall_ms,
	       char headers[RATE_HEADERS_SIZE], int *retry_s);

#endif
