#include "http/guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

/* An address, IPv4 in its mapped form ::ffff:a.b.c.d, so that there is one kind to compare. */
struct address {
	uint8_t bytes[16];
};

struct block {
	struct address base;
	int bits; /* of the mapped form: an IPv4 /8 has 104 */
};

struct guard {
	struct block *allowed; /* owned */
	size_t count;
	int64_t changed_ms; /* 0: never */
};

enum { MAPPED_BITS = 96 };

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* Refused ranges: IANA special-purpose address registries (IPv4, IPv6) without those that are
 * globally reachable.  pinned: our own machine and the metadata services that hand out credentials;
 * only an allowed block that lies inside the row opens it, a wide one like 0.0.0.0/0 does not. */
struct refused_row {
	const char *block;
	bool pinned;
};

static const struct refused_row refused_rows[] = {
    {"0.0.0.0/8", true},          /* this host */
    {"10.0.0.0/8", false},        /* private */
    {"100.64.0.0/10", false},     /* shared (carrier NAT) */
    {"100.100.100.200/32", true}, /* metadata: Alibaba */
    {"127.0.0.0/8", true},        /* loopback */
    {"168.63.129.16/32", true},   /* metadata: Azure; a public address that never leaves the host */
    {"169.254.0.0/16", false},    /* link-local */
    {"169.254.169.254/32", true}, /* metadata: AWS, GCP, Azure and others */
    {"169.254.170.0/24", true},   /* metadata: AWS containers */
    {"172.16.0.0/12", false},     /* private */
    {"192.0.0.0/24", false},      /* protocol assignments */
    {"192.0.0.192/32", true},     /* metadata: Oracle */
    {"192.0.2.0/24", false},      /* documentation */
    {"192.88.99.0/24", false},    /* 6to4 relays, deprecated */
    {"192.168.0.0/16", false},    /* private */
    {"198.18.0.0/15", false},     /* benchmarking */
    {"198.51.100.0/24", false},   /* documentation */
    {"203.0.113.0/24", false},    /* documentation */
    {"224.0.0.0/4", false},       /* multicast */
    {"240.0.0.0/4", false},       /* reserved, broadcast */
    {"2001::/23", false},         /* protocol assignments: Teredo, benchmarking, ORCHID */
    {"2001:db8::/32", false},     /* documentation */
    {"3fff::/20", false},         /* documentation */
    {"::/128", true},             /* unspecified */
    {"::1/128", true},            /* loopback */
    {"fd00:ec2::254/128", true},  /* metadata: AWS */
    {"fd20:ce::254/128", true},   /* metadata: GCP */
};

static bool
block_holds(const struct block *block, const struct address *address)
{
	int whole = block->bits / 8, rest = block->bits % 8;

	if (memcmp(block->base.bytes, address->bytes, (size_t)whole) != 0)
		return false;
	return rest == 0 || (block->base.bytes[whole] ^ address->bytes[whole]) >> (8 - rest) == 0;
}

static void
address_set_v4(struct address *address, const void *four)
{
	memcpy(address->bytes, mapped_prefix, sizeof(mapped_prefix));
	memcpy(address->bytes + 12, four, 4);
}

static bool
address_is_v4(const struct address *address)
{
	return memcmp(address->bytes, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

/* "10.0.0.0/8", "::1/128", or an address alone.  NULL when it is one, else what is wrong. */
static const char *
block_parse(const char *text, struct block *block)
{
	char copy[INET6_ADDRSTRLEN + 8];
	char *slash, *end;
	int whole_bits = 128, shift = 0;
	long bits;

	if (strlen(text) >= sizeof(copy))
		return "is too long";
	memcpy(copy, text, strlen(text) + 1);
	slash = strchr(copy, '/');
	if (slash != NULL)
		*slash = '\0';
	if (inet_pton(AF_INET, copy, block->base.bytes + 12) == 1) {
		memcpy(block->base.bytes, mapped_prefix, sizeof(mapped_prefix));
		whole_bits = 32;
		shift = MAPPED_BITS;
	} else if (inet_pton(AF_INET6, copy, block->base.bytes) != 1) {
		return "is not an IPv4 or IPv6 address";
	}
	bits = whole_bits;
	if (slash != NULL) {
		bits = strtol(slash + 1, &end, 10);
		if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || bits > whole_bits)
			return "has a bad prefix length";
	}
	block->bits = (int)bits + shift;
	for (int i = block->bits; i < 128; i++) {
		if (block->base.bytes[i / 8] & (0x80 >> i % 8))
			return "has bits set behind its prefix; write the block's first address";
	}
	return NULL;
}

enum sl_code
guard_new(const char *allow, struct guard **out, struct sl_error *error)
{
	struct guard *guard = sl_alloc(sizeof(*guard));
	char *copy = sl_strdup(allow != NULL ? allow : "");
	char *save = NULL;

	for (char *word = strtok_r(copy, ", \t\n", &save); word != NULL;
	     word = strtok_r(NULL, ", \t\n", &save)) {
		struct block block = {0};
		const char *wrong = block_parse(word, &block);

		if (wrong != NULL) {
			sl_fail(error, SL_INVALID, "address block %.60s %s", word, wrong);
			free(copy);
			guard_free(guard);
			return SL_INVALID;
		}
		guard->allowed = sl_realloc(guard->allowed, (guard->count + 1) * sizeof(block));
		guard->allowed[guard->count++] = block;
	}
	free(copy);
	*out = guard;
	return SL_OK;
}

enum sl_code
guard_allow(struct guard *guard, const char *allow, struct sl_error *error)
{
	struct guard *fresh;
	enum sl_code code = guard_new(allow, &fresh, error);

	if (code != SL_OK)
		return code;
	free(guard->allowed);
	*guard = *fresh;
	guard->changed_ms = clock_mono_ms();
	free(fresh); /* its blocks are guard's now */
	return SL_OK;
}

int64_t
guard_changed_ms(const struct guard *guard)
{
	return guard->changed_ms;
}

void
guard_free(struct guard *guard)
{
	if (guard == NULL)
		return;
	free(guard->allowed);
	free(guard);
}

/* Is address allowed by a block at least as narrow as bits? */
static bool
allowed_within(const struct guard *guard, const struct address *address, int bits)
{
	for (size_t i = 0; i < guard->count; i++) {
		if (guard->allowed[i].bits >= bits && block_holds(&guard->allowed[i], address))
			return true;
	}
	return false;
}

/* An address that carries an IPv4 one which a translator will reach in its place: NAT64
 * (RFC 6052) and 6to4 (RFC 3056). */
static bool
embedded_v4(const struct address *address, struct address *out)
{
	static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
	static const uint8_t six_to_four[2] = {0x20, 0x02};

	if (memcmp(address->bytes, nat64, sizeof(nat64)) == 0)
		address_set_v4(out, address->bytes + 12);
	else if (memcmp(address->bytes, six_to_four, sizeof(six_to_four)) == 0)
		address_set_v4(out, address->bytes + 2);
	else
		return false;
	return true;
}

/* Refused by a row of the table, and not opened by an allowed block? */
static bool
refused_by_row(const struct guard *guard, const struct address *address)
{
	for (size_t i = 0; i < sizeof(refused_rows) / sizeof(refused_rows[0]); i++) {
		struct block block = {0};

		if (block_parse(refused_rows[i].block, &block) != NULL)
			return true; /* a typing error above must not open anything */
		if (block_holds(&block, address) &&
		    !allowed_within(guard, address, refused_rows[i].pinned ? block.bits : 0))
			return true;
	}
	return false;
}

static bool
allows(const struct guard *guard, const struct address *address)
{
	struct address inner;

	if (refused_by_row(guard, address))
		return false;
	if (address_is_v4(address))
		return true;
	/* A wide block must not open the loopback address of a translator. */
	if (embedded_v4(address, &inner))
		return !refused_by_row(&(struct guard){0}, &inner) ||
		       allowed_within(guard, address, MAPPED_BITS);
	if (allowed_within(guard, address, 0))
		return true;
	/* Of IPv6 only 2000::/3 is global unicast: this leaves out unique local, link-local,
	 * site-local, multicast, IPv4-compatible, discard-only and whatever is assigned next. */
	return (address->bytes[0] & 0xe0) == 0x20;
}

bool
guard_allows(const struct guard *guard, const struct sockaddr *address)
{
	struct address plain;

	if (address->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, address, sizeof(in));
		address_set_v4(&plain, &in.sin_addr);
		return allows(guard, &plain);
	}
	if (address->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, address, sizeof(in6));
		memcpy(plain.bytes, &in6.sin6_addr, 16);
		return allows(guard, &plain);
	}
	return false; /* unix sockets and the rest: never ours to call */
}
