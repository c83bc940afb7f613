/* tests/unit/test_daemon_rate.c - daemon/api/rate. */
#include "daemon/api/rate.h"

#include "tests/lib/check.h"

#define NOON INT64_C(43200000) /* a window begins here */

static struct rates *rates;

static bool
take(struct rate *rate, int64_t limit, int64_t points, int64_t wall_ms, const char *headers,
     int retry_s)
{
	char got[RATE_HEADERS_SIZE];
	int got_s;
	bool fits = rate_take(rate, limit, points, wall_ms, got, &got_s);

	check_text(got, headers);
	check_int(got_s, ==, retry_s);
	return fits;
}

#define HEADERS(limit, left, reset)                                    \
	"X-RateLimit-Limit: " limit "\r\nX-RateLimit-Remaining: " left \
	"\r\nX-RateLimit-Reset: " reset "\r\n"

static void
a_window_of_a_minute_takes_the_limit_and_the_next_one_again(void)
{
	struct rate *rate = rate_of(rates, RATE_ACCOUNT);

	check(take(rate, 2, 1, NOON, HEADERS("2", "1", "43260"), 60));
	check(take(rate, 2, 1, NOON + 1500, HEADERS("2", "0", "43260"), 59));
	check(!take(rate, 2, 1, NOON + 59999, HEADERS("2", "0", "43260"), 1));
	check(take(rate, 2, 0, NOON + 59999, HEADERS("2", "0", "43260"), 1)); /* an operator */
	check(take(rate, 2, 1, NOON + 60000, HEADERS("2", "1", "43320"), 60));
}

static void
buckets_do_not_touch_one_another(void)
{
	check(take(rate_of(rates, RATE_FUNCTIONS), 1, 1, NOON, HEADERS("1", "0", "43260"), 60));
	check(!take(rate_of(rates, RATE_FUNCTIONS), 1, 1, NOON, HEADERS("1", "0", "43260"), 60));
	check(take(rate_of(rates, RATE_WEBHOOKS), 1, 1, NOON, HEADERS("1", "0", "43260"), 60));
	check(take(rate_of_peer(rates, "10.0.0.1", NOON), 25, 10, NOON,
		   HEADERS("25", "15", "43260"), 60));
	check(take(rate_of_peer(rates, "10.0.0.1", NOON), 25, 10, NOON, HEADERS("25", "5", "43260"),
		   60));
	check(take(rate_of_peer(rates, "10.0.0.1", NOON), 25, 10, NOON, HEADERS("25", "0", "43260"),
		   60));
	check(!take(rate_of_peer(rates, "10.0.0.1", NOON), 25, 10, NOON,
		    HEADERS("25", "0", "43260"), 60));
	check(take(rate_of_peer(rates, "10.0.0.2", NOON), 25, 10, NOON,
		   HEADERS("25", "15", "43260"), 60));
}

static void
an_ipv6_peer_shares_the_bucket_of_its_64(void)
{
	char name[RATE_PEER_SIZE];

	rate_peer_name("2001:db8:1:2:3:4:5:6", name);
	check_text(name, "2001:db8:1:2::");
	check(rate_of_peer(rates, "2001:db8:1:2::1", NOON) ==
	      rate_of_peer(rates, "2001:db8:1:2:ffff::9", NOON));
	check(rate_of_peer(rates, "2001:db8:1:2::1", NOON) !=
	      rate_of_peer(rates, "2001:db8:1:3::1", NOON));
	rate_peer_name("192.0.2.7", name);
	check_text(name, "192.0.2.7");
	rate_peer_name("unix", name);
	check_text(name, "unix");
}

static void
a_flood_of_addresses_shares_one_bucket_past_the_table(void)
{
	const int64_t later = NOON + RATE_WINDOW_MS;
	struct rate *other;
	char peer[32];

	for (int i = 0; i < RATE_PEERS_MAX; i++) {
		snprintf(peer, sizeof(peer), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		check(rate_of_peer(rates, peer, later) != NULL);
	}
	other = rate_of_peer(rates, "172.16.0.1", later);
	check(other == rate_of_peer(rates, "172.16.0.2", later));
	check(rate_of_peer(rates, "10.0.0.1", later) != other); /* it was there before */
	check(rate_of_peer(rates, "172.16.0.1", later + RATE_WINDOW_MS) != other);
}

int
main(void)
{
	rates = rates_new();
	CHECK_RUN(a_window_of_a_minute_takes_the_limit_and_the_next_one_again);
	CHECK_RUN(buckets_do_not_touch_one_another);
	CHECK_RUN(an_ipv6_peer_shares_the_bucket_of_its_64);
	CHECK_RUN(a_flood_of_addresses_shares_one_bucket_past_the_table);
	rates_free(rates);
	return check_done();
}
