#include "daemon/api/rate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"

struct rate {
	int64_t window; /* number of the current 60 s window */
	int64_t used;   /* points; a refused request takes none */
};

struct rates {
	struct rate kinds[RATE_WEBHOOKS + 1];
	struct map *peers;       /* name -> struct rate, of the window below */
	struct rate other_peers; /* of addresses that came after the map was full */
	int64_t peers_window;
};

struct rates *
rates_new(void)
{
	struct rates *rates = sl_alloc(sizeof(*rates));

	rates->peers = map_new();
	return rates;
}

void
rates_free(struct rates *rates)
{
	if (rates == NULL)
		return;
	map_free(rates->peers, free);
	free(rates);
}

struct rate *
rate_of(struct rates *rates, enum rate_kind kind)
{
	return &rates->kinds[kind];
}

void
rate_peer_name(const char *peer, char out[RATE_PEER_SIZE])
{
	struct in6_addr address;
	char text[INET6_ADDRSTRLEN];

	snprintf(out, RATE_PEER_SIZE, "%s", peer);
	if (inet_pton(AF_INET6, peer, &address) != 1)
		return;
	memset(address.s6_addr + 8, 0, 8);
	if (inet_ntop(AF_INET6, &address, text, sizeof(text)) != NULL)
		snprintf(out, RATE_PEER_SIZE, "%s", text);
}

struct rate *
rate_of_peer(struct rates *rates, const char *peer, int64_t wall_ms)
{
	int64_t window = wall_ms / RATE_WINDOW_MS;
	char name[RATE_PEER_SIZE];
	struct rate *rate;

	if (window != rates->peers_window) { /* all of them are full again */
		map_free(rates->peers, free);
		rates->peers = map_new();
		rates->peers_window = window;
	}
	rate_peer_name(peer, name);
	rate = map_get_text(rates->peers, name);
	if (rate != NULL)
		return rate;
	if (map_count(rates->peers) >= RATE_PEERS_MAX)
		return &rates->other_peers;
	rate = sl_alloc(sizeof(*rate));
	map_put_text(rates->peers, name, rate);
	return rate;
}

bool
rate_take(struct rate *rate, int64_t limit, int64_t points, int64_t wall_ms,
	  char headers[RATE_HEADERS_SIZE], int *retry_s)
{
	int64_t window = wall_ms / RATE_WINDOW_MS;
	int64_t reset_ms = (window + 1) * RATE_WINDOW_MS;
	bool fits;

	if (window != rate->window)
		*rate = (struct rate){.window = window};
	fits = points == 0 || rate->used < limit; /* the last one may cost more than is left */
	if (fits)
		rate->used = limit - rate->used < points ? limit : rate->used + points;
	snprintf(
	    headers, RATE_HEADERS_SIZE,
	    "X-RateLimit-Limit: %lld\r\nX-RateLimit-Remaining: %lld\r\nX-RateLimit-Reset: %lld\r\n",
	    (long long)limit, (long long)(limit - rate->used), (long long)(reset_ms / 1000));
	*retry_s = (int)((reset_ms - wall_ms + 999) / 1000);
	return fits;
}
