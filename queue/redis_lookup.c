#include "queue/redis_lookup.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"

/* libevent's answer may come from inside the question (hosts file, bad name) or from the loop; ours
 * always comes from the loop: the outcome is kept and told by tell(). */
struct redis_lookup {
	struct loop *loop;
	struct evdns_base *dns;
	struct evdns_getaddrinfo_request *request; /* NULL: answered */
	unsigned pick;
	redis_lookup_cb *cb; /* NULL: cancelled */
	void *arg;
	char address[NI_MAXHOST]; /* "": none */
	const char *error;        /* static text of libevent */
};

static void
lookup_free(void *arg)
{
	struct redis_lookup *lookup = arg;

	if (lookup->dns != NULL)
		evdns_base_free(lookup->dns, 0);
	free(lookup);
}

static void
tell(void *arg)
{
	struct redis_lookup *lookup = arg;
	redis_lookup_cb *cb = lookup->cb;

	lookup->cb = NULL;
	if (cb != NULL)
		cb(lookup->arg, lookup->address[0] != '\0' ? lookup->address : NULL, lookup->error);
	loop_free_later(lookup->loop, lookup_free, lookup);
}

static void
on_answer(int code, struct evutil_addrinfo *found, void *arg)
{
	struct redis_lookup *lookup = arg;
	const struct evutil_addrinfo *at = found;
	unsigned count = 0;

	lookup->request = NULL;
	for (const struct evutil_addrinfo *i = found; i != NULL; i = i->ai_next)
		count++;
	if (code == 0 && count > 0) {
		for (unsigned skip = lookup->pick % count; skip > 0; skip--)
			at = at->ai_next;
		code = getnameinfo(at->ai_addr, (socklen_t)at->ai_addrlen, lookup->address,
				   sizeof(lookup->address), NULL, 0, NI_NUMERICHOST);
		if (code != 0)
			lookup->address[0] = '\0';
	}
	lookup->error = code != 0 ? evutil_gai_strerror(code) : "no address";
	if (found != NULL)
		evutil_freeaddrinfo(found);
	loop_soon(lookup->loop, tell, lookup);
}

struct redis_lookup *
redis_lookup_start(struct loop *loop, const char *host, unsigned pick, redis_lookup_cb *cb,
		   void *arg)
{
	struct redis_lookup *lookup = sl_alloc(sizeof(*lookup));
	const struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct evdns_getaddrinfo_request *request;

	lookup->loop = loop;
	lookup->pick = pick;
	lookup->cb = cb;
	lookup->arg = arg;
	lookup->dns = evdns_base_new(loop_base(loop), 0);
	if (lookup->dns == NULL) {
		lookup->error = "the resolver did not start";
		loop_soon(loop, tell, lookup);
		return lookup;
	}
	/* Without a usable file it asks 127.0.0.1, as libc does. */
	(void)evdns_base_resolv_conf_parse(lookup->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
	request = evdns_getaddrinfo(lookup->dns, host, NULL, &hints, on_answer, lookup);
	if (request != NULL) /* else on_answer() has run */
		lookup->request = request;
	return lookup;
}

void
redis_lookup_cancel(struct redis_lookup *lookup)
{
	lookup->cb = NULL;
	if (lookup->request != NULL)
		evdns_getaddrinfo_cancel(lookup->request); /* ends in on_answer(), from the loop */
}
