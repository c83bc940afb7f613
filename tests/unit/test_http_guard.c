#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "http/guard.h"
#include "tests/lib/check.h"

static struct guard *
guard_of(const char *allow)
{
	struct guard *guard;
	struct sl_error error;

	check_int(guard_new(allow, &guard, &error), ==, SL_OK);
	return guard;
}

static bool
allows(const struct guard *guard, const char *text)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
		return guard_allows(guard, NULL, (struct sockaddr *)&in);
	check_int(inet_pton(AF_INET6, text, &in6.sin6_addr), ==, 1);
	return guard_allows(guard, NULL, (struct sockaddr *)&in6);
}

static void
special_purpose_addresses_are_refused(void)
{
	static const char *const refused[] = {
	    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255",
	    "127.0.0.1", "127.255.255.254", "169.254.0.1", "169.254.169.254", "169.254.170.2",
	    "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1",
	    "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.7",
	    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16",
	    "100.100.100.200",
	    /* IPv6 */
	    "::", "::1", "::2", "::7f00:1", "::ffff:7f00:1", "::ffff:10.0.0.1",
	    "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1",
	    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "100:0:0:1::1", "2001::1",
	    "2001:0:7f00:1::", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1",
	    "2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::", "3fff::1", "4000::1", "5f00::1",
	    "fc00::1", "fd00:ec2::254", "fdff::1", "fe80::1", "febf::1", "fec0::1", "ff02::1"};
	struct guard *guard = guard_of(NULL);

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (allows(guard, refused[i]))
			printf("# allowed: %s\n", refused[i]);
		check(!allows(guard, refused[i]));
	}
	guard_free(guard);
}

static void
public_addresses_are_allowed(void)
{
	static const char *const allowed[] = {
	    "1.1.1.1",         "8.8.8.8",          "9.255.255.255",   "11.0.0.1",
	    "100.63.255.255",  "100.128.0.1",      "126.255.255.255", "128.0.0.1",
	    "172.15.255.255",  "172.32.0.1",       "192.0.1.1",       "192.167.255.255",
	    "192.169.0.1",     "198.17.255.255",   "198.20.0.1",      "223.255.255.255",
	    "2606:4700::1111", "2a00:1450::1",     "2001:200::1",     "2001:4860::8888",
	    "::ffff:8.8.8.8",  "64:ff9b::808:808", "2002:808:808::1"};
	struct guard *guard = guard_of("");

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		if (!allows(guard, allowed[i]))
			printf("# refused: %s\n", allowed[i]);
		check(allows(guard, allowed[i]));
	}
	guard_free(guard);
}

static void
blocks_of_the_allow_list_are_allowed(void)
{
	struct guard *guard = guard_of(" 127.0.0.0/8, 10.1.0.0/16 192.168.1.7,,fd12:3456::/32 ");

	check(allows(guard, "127.0.0.1"));
	check(allows(guard, "::ffff:127.0.0.1"));
	check(allows(guard, "10.1.255.255"));
	check(!allows(guard, "10.2.0.0"));
	check(allows(guard, "192.168.1.7"));
	check(!allows(guard, "192.168.1.8"));
	check(allows(guard, "fd12:3456::9"));
	check(!allows(guard, "fd12:3457::9"));
	check(!allows(guard, "::1"));
	check(!allows(guard, "64:ff9b::7f00:1"));
	check(!allows(guard, "2002:7f00:1::"));
	guard_free(guard);
}

static void
wide_blocks_do_not_open_loopback_and_metadata(void)
{
	struct guard *guard = guard_of("0.0.0.0/0 ::/0");

	check(allows(guard, "10.0.0.1"));
	check(allows(guard, "fd00::1"));
	check(allows(guard, "169.254.1.1"));
	check(!allows(guard, "127.0.0.1"));
	check(!allows(guard, "0.0.0.0"));
	check(!allows(guard, "169.254.169.254"));
	check(!allows(guard, "::1"));
	check(!allows(guard, "::"));
	check(!allows(guard, "fd00:ec2::254"));
	check(!allows(guard, "64:ff9b::7f00:1"));
	guard_free(guard);
	guard = guard_of("169.254.169.254 ::1/128");
	check(allows(guard, "169.254.169.254"));
	check(allows(guard, "::1"));
	guard_free(guard);
}

static void
bad_blocks_are_refused_by_name(void)
{
	static const char *const bad[] = {"10.0.0.0/33", "10.0.0.1/8",  "10.0.0", "localhost",
					  "10.0.0.0/",   "10.0.0.0/-1", "::/129", "10.0.0.0/8x"};
	struct guard *guard;
	struct sl_error error;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		check_int(guard_new(bad[i], &guard, &error), ==, SL_INVALID);
		check(strstr(error.text, bad[i]) != NULL);
	}
}

static void
other_families_are_refused(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct guard *guard = guard_of("0.0.0.0/0 ::/0");

	check(!guard_allows(guard, NULL, (struct sockaddr *)&un));
	guard_free(guard);
}

static void
another_list_takes_the_place_of_the_one_before_or_none_does(void)
{
	struct guard *guard = guard_of("10.0.0.0/8");
	struct sl_error error;

	check_int(guard_changed_ms(guard), ==, 0);
	check_int(guard_set(guard, &(struct guard_rules){.allow = "10.0.0.0/8, jun/k"}, &error), ==,
		  SL_INVALID);
	check(allows(guard, "10.1.2.3"));
	check_int(guard_changed_ms(guard), ==, 0);
	check_int(guard_set(guard, &(struct guard_rules){.allow = "192.168.0.0/16"}, &error), ==,
		  SL_OK);
	check(!allows(guard, "10.1.2.3"));
	check(allows(guard, "192.168.1.1"));
	check(guard_changed_ms(guard) > 0);
	guard_free(guard);
}

static void
all_of_ipv6_is_not_ipv4_nor_what_carries_it(void)
{
	static const char *const shut[] = {
	    "10.0.0.1",        "224.0.0.1",       "127.0.0.1",       "::1",
	    "::7f00:1",        "::ffff:0:7f00:1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1",
	    "2001:0:7f00:1::", "2002:7f00:1::",   "fd00:ec2::23",    "fe80::a9fe:a9fe"};
	const struct guard_rules no_ipv6 = {.deny = "::/0"};
	struct guard *guard = guard_of("::/0");
	struct sl_error error;

	for (size_t i = 0; i < sizeof(shut) / sizeof(shut[0]); i++) {
		if (allows(guard, shut[i]))
			printf("# allowed: %s\n", shut[i]);
		check(!allows(guard, shut[i]));
	}
	check(allows(guard, "fd12::1"));
	check(allows(guard, "64:ff9b::808:808"));
	check_int(guard_set(guard, &no_ipv6, &error), ==, SL_OK);
	check(allows(guard, "8.8.8.8"));
	check(!allows(guard, "2606:4700::1111"));
	guard_free(guard);
}

static bool
reaches(const struct guard *guard, const char *host, const char *text)
{
	struct sockaddr_in in = {.sin_family = AF_INET};

	check_int(inet_pton(AF_INET, text, &in.sin_addr), ==, 1);
	return guard_allows_host(guard, host) && guard_allows(guard, host, (struct sockaddr *)&in);
}

static void
what_is_denied_is_refused_whatever_is_allowed(void)
{
	const struct guard_rules rules = {
	    .allow = "10.0.0.0/8", .deny = "10.1.0.0/16 8.8.0.0/16 Evil.example, *.bad.example."};
	struct guard *guard = guard_of(NULL);
	struct sl_error error;

	check_int(guard_set(guard, &rules, &error), ==, SL_OK);
	check(reaches(guard, "x.example", "10.2.0.1"));
	check(!reaches(guard, "x.example", "10.1.0.1"));
	check(!reaches(guard, "x.example", "8.8.8.8"));
	check(!allows(guard, "64:ff9b::808:808"));
	check(reaches(guard, "x.example", "9.9.9.9"));
	check(!reaches(guard, "evil.EXAMPLE.", "9.9.9.9"));
	check(reaches(guard, "not-evil.example", "9.9.9.9"));
	check(!reaches(guard, "a.b.bad.example", "9.9.9.9"));
	check(reaches(guard, "bad.example", "9.9.9.9"));
	check(reaches(guard, "notbad.example", "9.9.9.9"));
	guard_free(guard);
}

static void
an_allowlist_reaches_nothing_else_and_a_name_opens_no_inner_address(void)
{
	const struct guard_rules rules = {
	    .policy = GUARD_ALLOWLIST,
	    .allow = "api.example.org *.sales.example 10.0.0.0/8 9.9.9.0/24"};
	struct guard *guard = guard_of(NULL);
	struct sl_error error;

	check_int(guard_set(guard, &rules, &error), ==, SL_OK);
	check(reaches(guard, "api.example.org", "8.8.8.8"));
	check(reaches(guard, "API.example.org.", "8.8.8.8"));
	check(reaches(guard, "eu.sales.example", "8.8.8.8"));
	check(!reaches(guard, "www.example.org", "8.8.8.8"));
	check(!reaches(guard, "8.8.8.8", "8.8.8.8"));
	check(reaches(guard, "www.example.org", "9.9.9.9"));
	check(reaches(guard, "www.example.org", "10.0.0.1"));
	check(!reaches(guard, "api.example.org", "192.168.0.1"));
	check(!reaches(guard, "api.example.org", "127.0.0.1"));
	check(!reaches(guard, "api.example.org", "169.254.169.254"));
	guard_free(guard);
}

static void
a_permissive_guard_still_keeps_to_others(void)
{
	static const char *const open[] = {"10.0.0.1",    "192.168.1.1", "172.16.0.1", "100.64.0.1",
					   "169.254.1.1", "fd12::1",     "fe80::1",    "8.8.8.8"};
	static const char *const shut[] = {"127.0.0.1",
					   "0.0.0.0",
					   "169.254.169.254",
					   "100.100.100.200",
					   "224.0.0.1",
					   "255.255.255.255",
					   "::1",
					   "::",
					   "fd00:ec2::254",
					   "ff02::1",
					   "::ffff:127.0.0.1",
					   "64:ff9b::7f00:1",
					   "fec0::1"};
	struct guard *guard = guard_of(NULL);
	struct sl_error error;

	check_int(guard_set(guard, &(struct guard_rules){.policy = GUARD_PERMISSIVE}, &error), ==,
		  SL_OK);
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		check(allows(guard, open[i]));
	for (size_t i = 0; i < sizeof(shut) / sizeof(shut[0]); i++) {
		if (allows(guard, shut[i]))
			printf("# allowed: %s\n", shut[i]);
		check(!allows(guard, shut[i]));
	}
	guard_free(guard);
}

int
main(void)
{
	CHECK_RUN(special_purpose_addresses_are_refused);
	CHECK_RUN(public_addresses_are_allowed);
	CHECK_RUN(blocks_of_the_allow_list_are_allowed);
	CHECK_RUN(wide_blocks_do_not_open_loopback_and_metadata);
	CHECK_RUN(bad_blocks_are_refused_by_name);
	CHECK_RUN(other_families_are_refused);
	CHECK_RUN(another_list_takes_the_place_of_the_one_before_or_none_does);
	CHECK_RUN(all_of_ipv6_is_not_ipv4_nor_what_carries_it);
	CHECK_RUN(what_is_denied_is_refused_whatever_is_allowed);
	CHECK_RUN(an_allowlist_reaches_nothing_else_and_a_name_opens_no_inner_address);
	CHECK_RUN(a_permissive_guard_still_keeps_to_others);
	return check_done();
}
