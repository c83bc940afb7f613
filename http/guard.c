#include "http/guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

struct list {
	struct block *blocks; /* owned */
	size_t block_count;
	char **names; /* owned, in lower case; "*.x" begins with its dot */
	size_t name_count;
};

struct guard {
	enum guard_policy policy;
	struct list allow, deny;
	int64_t changed_ms; /* 0: never */
};

enum { MAPPED_BITS = 96 };

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* Refused ranges: IANA special-purpose address registries (IPv4, IPv6) without those that are
 * globally reachable.  ROW_PINNED: our own machine and the metadata services that hand out credentials;
 * only an allowed block that lies inside the row opens it, a wide one like 0.0.0.0/0 does not. */
enum row_kind {
	ROW_USUAL,
	ROW_INNER, /* a network of somebody's own: GUARD_PERMISSIVE reaches it */
	ROW_PINNED,
};

struct refused_row {
	const char *block;
	enum row_kind kind;
};

static const struct refused_row refused_rows[] = {
    {"0.0.0.0/8", ROW_PINNED},          /* this host */
    {"10.0.0.0/8", ROW_INNER},          /* private */
    {"100.64.0.0/10", ROW_INNER},       /* shared (carrier NAT) */
    {"100.100.100.200/32", ROW_PINNED}, /* metadata: Alibaba */
    {"127.0.0.0/8", ROW_PINNED},        /* loopback */
    {"168.63.129.16/32",
     ROW_PINNED}, /* metadata: Azure; a public address that never leaves the host */
    {"169.254.0.0/16", ROW_INNER},          /* link-local */
    {"169.254.169.254/32", ROW_PINNED},     /* metadata: AWS, GCP, Azure and others */
    {"169.254.170.0/24", ROW_PINNED},       /* metadata: AWS containers */
    {"169.254.0.23/32", ROW_PINNED},        /* metadata: Tencent */
    {"169.254.42.42/32", ROW_PINNED},       /* metadata: Scaleway */
    {"172.16.0.0/12", ROW_INNER},           /* private */
    {"192.0.0.0/24", ROW_USUAL},            /* protocol assignments */
    {"192.0.0.192/32", ROW_PINNED},         /* metadata: Oracle */
    {"192.0.2.0/24", ROW_USUAL},            /* documentation */
    {"192.88.99.0/24", ROW_USUAL},          /* 6to4 relays, deprecated */
    {"192.168.0.0/16", ROW_INNER},          /* private */
    {"198.18.0.0/15", ROW_USUAL},           /* benchmarking */
    {"198.51.100.0/24", ROW_USUAL},         /* documentation */
    {"203.0.113.0/24", ROW_USUAL},          /* documentation */
    {"224.0.0.0/4", ROW_USUAL},             /* multicast */
    {"240.0.0.0/4", ROW_USUAL},             /* reserved, broadcast */
    {"2001::/23", ROW_USUAL},               /* protocol assignments: Teredo, benchmarking, ORCHID */
    {"2001:db8::/32", ROW_USUAL},           /* documentation */
    {"3fff::/20", ROW_USUAL},               /* documentation */
    {"::/128", ROW_PINNED},                 /* unspecified */
    {"::1/128", ROW_PINNED},                /* loopback */
    {"2001::/32", ROW_PINNED},              /* Teredo: carries two IPv4 addresses */
    {"fd00:42::42/128", ROW_PINNED},        /* metadata: Scaleway */
    {"fd00:c1::a9fe:a9fe/128", ROW_PINNED}, /* metadata: Oracle */
    {"fd00:ec2::23/128", ROW_PINNED},       /* metadata: AWS containers */
    {"fe80::a9fe:a9fe/128", ROW_PINNED},    /* metadata: OpenStack */
    {"fd00:ec2::254/128", ROW_PINNED},      /* metadata: AWS */
    {"fd20:ce::254/128", ROW_PINNED},       /* metadata: GCP */
};

static bool address_is_v4(const struct address *address);

static bool
block_holds(const struct block *block, const struct address *address)
{
	int whole = block->bits / 8, rest = block->bits % 8;

	if (block->bits < MAPPED_BITS && address_is_v4(address))
		return false; /* ::/0 is all of IPv6: the mapped form is ours, not theirs who wrote it */
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

/* "api.example.org" or "*.example.org", without a dot at the end; in lower case, the star left out.  NULL: no name. */
static char *
name_parse(const char *text)
{
	size_t len;
	bool letter = false, dotted = false;
	char *name;

	if (text[0] == '*' && text[1] == '.')
		text++;
	len = strlen(text);
	if (len > 0 && text[len - 1] == '.')
		len--;
	if (len == 0 || len > 253 || (text[0] == '.' && len == 1))
		return NULL;
	name = sl_strndup(text, len);
	for (char *at = name; *at != '\0'; at++) {
		bool dot = *at == '.';

		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at - 'A' + 'a');
		dotted = dotted || dot;
		letter = letter || (*at >= 'a' && *at <= 'z');
		if (!((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '-' ||
		      *at == '_' || dot) ||
		    (dot && at[1] == '.')) {
			free(name);
			return NULL;
		}
	}
	if (!letter || !dotted) { /* an address, this machine, or nothing */
		free(name);
		return NULL;
	}
	return name;
}

static void
list_fini(struct list *list)
{
	for (size_t i = 0; i < list->name_count; i++)
		free(list->names[i]);
	free(list->names);
	free(list->blocks);
}

static enum sl_code
list_add(struct list *list, const char *word, struct sl_error *error)
{
	struct block block = {0};
	const char *wrong = block_parse(word, &block);
	char *name = wrong != NULL ? name_parse(word) : NULL;

	if (name != NULL) {
		list->names = sl_realloc(list->names, (list->name_count + 1) * sizeof(name));
		list->names[list->name_count++] = name;
		return SL_OK;
	}
	if (wrong != NULL)
		return sl_fail(error, SL_INVALID, "address block %.60s %s", word, wrong);
	list->blocks = sl_realloc(list->blocks, (list->block_count + 1) * sizeof(block));
	list->blocks[list->block_count++] = block;
	return SL_OK;
}

static enum sl_code
list_parse(const char *text, struct list *out, struct sl_error *error)
{
	char *copy = sl_strdup(text != NULL ? text : "");
	enum sl_code code = SL_OK;
	char *save = NULL;

	*out = (struct list){0};
	for (char *word = strtok_r(copy, ", \t\n", &save); code == SL_OK && word != NULL;
	     word = strtok_r(NULL, ", \t\n", &save))
		code = list_add(out, word, error);
	free(copy);
	if (code != SL_OK) {
		list_fini(out);
		*out = (struct list){0};
	}
	return code;
}

bool
guard_list_has_name(const char *text)
{
	struct sl_error error;
	struct list list;
	bool has = list_parse(text, &list, &error) == SL_OK && list.name_count > 0;

	list_fini(&list);
	return has;
}

enum sl_code
guard_new(const char *allow, struct guard **out, struct sl_error *error)
{
	struct guard *guard = sl_alloc(sizeof(*guard));
	enum sl_code code = list_parse(allow, &guard->allow, error);

	if (code != SL_OK)
		guard_free(guard);
	else
		*out = guard;
	return code;
}

enum sl_code
guard_set(struct guard *guard, const struct guard_rules *rules, struct sl_error *error)
{
	struct list allow, deny;
	enum sl_code code = list_parse(rules->allow, &allow, error);

	if (code != SL_OK)
		return code;
	code = list_parse(rules->deny, &deny, error);
	if (code != SL_OK) {
		list_fini(&allow);
		return code;
	}
	list_fini(&guard->allow);
	list_fini(&guard->deny);
	guard->allow = allow;
	guard->deny = deny;
	guard->policy = rules->policy;
	guard->changed_ms = clock_mono_ms();
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
	list_fini(&guard->allow);
	list_fini(&guard->deny);
	free(guard);
}

/* Is the host one of the list's names, or below one? */
static bool
list_has_host(const struct list *list, const char *host)
{
	size_t len = strlen(host);

	if (len > 0 && host[len - 1] == '.')
		len--;
	for (size_t i = 0; i < list->name_count; i++) {
		const char *name = list->names[i];
		size_t want = strlen(name);

		if (name[0] == '.' ? len > want && strncasecmp(host + len - want, name, want) == 0
				   : len == want && strncasecmp(host, name, want) == 0)
			return true;
	}
	return false;
}

static bool
list_has_address(const struct list *list, const struct address *address)
{
	for (size_t i = 0; i < list->block_count; i++)
		if (block_holds(&list->blocks[i], address))
			return true;
	return false;
}

/* Is address allowed by a block at least as narrow as bits? */
static bool
allowed_within(const struct guard *guard, const struct address *address, int bits)
{
	for (size_t i = 0; i < guard->allow.block_count; i++) {
		if (guard->allow.blocks[i].bits >= bits &&
		    block_holds(&guard->allow.blocks[i], address))
			return true;
	}
	return false;
}

/* An address that carries an IPv4 one which a translator may reach in its place: NAT64 (RFC 6052, and for local use
 * RFC 8215), SIIT (RFC 2765), 6to4 (RFC 3056), IPv4-compatible (RFC 4291). */
static bool
embedded_v4(const struct address *address, struct address *out)
{
	static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
	static const uint8_t local_nat64[6] = {0, 0x64, 0xff, 0x9b, 0, 1};
	static const uint8_t siit[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	static const uint8_t compatible[12] = {0};
	static const uint8_t six_to_four[2] = {0x20, 0x02};

	if (memcmp(address->bytes, six_to_four, sizeof(six_to_four)) == 0)
		address_set_v4(out, address->bytes + 2);
	else if (memcmp(address->bytes, nat64, sizeof(nat64)) == 0 ||
		 memcmp(address->bytes, local_nat64, sizeof(local_nat64)) == 0 ||
		 memcmp(address->bytes, siit, sizeof(siit)) == 0 ||
		 memcmp(address->bytes, compatible, sizeof(compatible)) == 0)
		address_set_v4(out, address->bytes + 12);
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
		if (refused_rows[i].kind == ROW_INNER && guard->policy == GUARD_PERMISSIVE)
			continue;
		if (block_holds(&block, address) &&
		    !allowed_within(guard, address,
				    refused_rows[i].kind == ROW_PINNED ? block.bits : 0))
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
	if (guard->policy == GUARD_PERMISSIVE && /* unique local, link-local */
	    ((address->bytes[0] & 0xfe) == 0xfc ||
	     (address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80)))
		return true;
	/* Of IPv6 only 2000::/3 is global unicast: this leaves out unique local, link-local,
	 * site-local, multicast, IPv4-compatible, discard-only and whatever is assigned next. */
	return (address->bytes[0] & 0xe0) == 0x20;
}

static bool
denies(const struct guard *guard, const struct address *address)
{
	struct address inner;

	return list_has_address(&guard->deny, address) ||
	       (embedded_v4(address, &inner) && list_has_address(&guard->deny, &inner));
}

bool
guard_allows_host(const struct guard *guard, const char *host)
{
	return !list_has_host(&guard->deny, host);
}

bool
guard_allows(const struct guard *guard, const char *host, const struct sockaddr *address)
{
	struct address plain;

	if (address->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, address, sizeof(in));
		address_set_v4(&plain, &in.sin_addr);
	} else if (address->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, address, sizeof(in6));
		memcpy(plain.bytes, &in6.sin6_addr, 16);
	} else {
		return false; /* unix sockets and the rest: never ours to call */
	}
	if (denies(guard, &plain) || (host != NULL && !guard_allows_host(guard, host)))
		return false;
	if (guard->policy == GUARD_ALLOWLIST && !allowed_within(guard, &plain, 0) &&
	    (host == NULL || !list_has_host(&guard->allow, host)))
		return false;
	return allows(guard, &plain);
}
