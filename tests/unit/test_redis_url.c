/* The URL of Redis, and which server the next connection goes to. */
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "queue/redis_reply.h"
#include "queue/redis_route.h"
#include "queue/redis_url.h"
#include "tests/lib/check.h"

static enum sl_code
parse(const char *text, struct redis_url *url)
{
	struct sl_error error = {0};
	enum sl_code code = redis_url_parse(text, url, &error);

	if (code != SL_OK && (strstr(error.text, "hunter") != NULL || error.text[0] == '\0'))
		check_fail_at(__FILE__, __LINE__, "the error is empty or repeats the password");
	return code;
}

static void
url_of_a_host(void)
{
	struct redis_url url;

	check_int(parse("redis://example.test", &url), ==, SL_OK);
	check_text(url.places[0].host, "example.test");
	check_int(url.places[0].port, ==, 6379);
	check_int(url.db, ==, 0);
	check_int(url.place_count, ==, 1);
	check_int(url.mode, ==, REDIS_SINGLE);
	check(url.path == NULL && url.user == NULL && url.password == NULL);
	redis_url_fini(&url);
	check_int(parse("redis://10.0.0.1:7000/3", &url), ==, SL_OK);
	check_text(url.places[0].host, "10.0.0.1");
	check_int(url.places[0].port, ==, 7000);
	check_int(url.db, ==, 3);
	redis_url_fini(&url);
	check_int(parse("REDIS://[::1]:6380/", &url), ==, SL_OK);
	check_text(url.places[0].host, "::1");
	check_int(url.places[0].port, ==, 6380);
	redis_url_fini(&url);
}

static void
url_with_a_login(void)
{
	struct redis_url url;

	check_int(parse("redis://sluice:hunter%32%40%2F%25@h:1/0", &url), ==, SL_OK);
	check_text(url.user, "sluice");
	check_text(url.password, "hunter2@/%");
	check_text(url.places[0].host, "h");
	redis_url_fini(&url);
	check_int(parse("redis://:hunter2@h", &url), ==, SL_OK);
	check(url.user == NULL);
	check_text(url.password, "hunter2");
	redis_url_fini(&url);
	check_int(parse("redis://u:p@ss:w@h", &url), ==, SL_OK); /* the last @ ends the login */
	check_text(url.password, "p@ss:w");
	redis_url_fini(&url);
}

static void
url_of_a_unix_socket(void)
{
	struct redis_url url;

	check_int(parse("unix:///run/redis/redis.sock", &url), ==, SL_OK);
	check_text(url.path, "/run/redis/redis.sock");
	check(url.place_count == 0);
	redis_url_fini(&url);
	check_int(parse("unix://:hunter2@/run/r?db=12", &url), ==, SL_OK);
	check_text(url.path, "/run/r");
	check_text(url.password, "hunter2");
	check_int(url.db, ==, 12);
	redis_url_fini(&url);
}

static void
url_of_a_cluster(void)
{
	struct redis_url url;

	check_int(parse("redis://u:hunter2@10.0.0.1:7000,[::1]:7001,h?cluster=yes", &url), ==,
		  SL_OK);
	check_int(url.mode, ==, REDIS_CLUSTER);
	check_int(url.place_count, ==, 3);
	check_text(url.places[0].host, "10.0.0.1");
	check_int(url.places[0].port, ==, 7000);
	check_text(url.places[1].host, "::1");
	check_int(url.places[1].port, ==, 7001);
	check_text(url.places[2].host, "h");
	check_int(url.places[2].port, ==, 6379);
	check_text(url.user, "u");
	check_text(url.password, "hunter2");
	redis_url_fini(&url);
	check_int(parse("redis://h/0?cluster=yes", &url), ==, SL_OK); /* one seed is enough */
	check_int(url.mode, ==, REDIS_CLUSTER);
	redis_url_fini(&url);
	check_int(parse("redis://h/?cluster=no", &url), ==, SL_OK);
	check_int(url.mode, ==, REDIS_SINGLE);
	redis_url_fini(&url);
	check_int(parse("redis://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p?cluster=yes", &url), ==, SL_OK);
	check_int(url.place_count, ==, REDIS_PLACES_MAX);
	redis_url_fini(&url);
}

static void
url_of_sentinels(void)
{
	struct redis_url url;

	check_int(parse("redis+sentinel://u:hunter2@s1,s2:26380,[::1]/my%2Dmaster/3"
			"?sentinel_password=hunter%26%233",
			&url),
		  ==, SL_OK);
	check_int(url.mode, ==, REDIS_SENTINEL);
	check_int(url.place_count, ==, 3);
	check_text(url.places[0].host, "s1");
	check_int(url.places[0].port, ==, 26379);
	check_int(url.places[1].port, ==, 26380);
	check_text(url.places[2].host, "::1");
	check_text(url.master, "my-master");
	check_text(url.user, "u");
	check_text(url.password, "hunter2");
	check_text(url.sentinel_password, "hunter&#3");
	check_int(url.db, ==, 3);
	redis_url_fini(&url);
	check_int(parse("REDIS+SENTINEL://h/m", &url), ==, SL_OK);
	check_text(url.master, "m");
	check_int(url.db, ==, 0);
	check(url.password == NULL && url.sentinel_password == NULL);
	redis_url_fini(&url);
	check_int(parse("redis+sentinel://h/m/", &url), ==, SL_OK);
	redis_url_fini(&url);
}

static void
bad_urls_are_refused_without_repeating_them(void)
{
	static const char *const bad[] = {
	    "",
	    "redis",
	    "http://h",
	    "rediss://:hunter2@h",
	    "redis://",
	    "redis://:hunter2@",
	    "redis://hunter2@h",
	    "redis://u:@h",
	    "redis://:hunter%@h",
	    "redis://:hunter%2@h",
	    "redis://:hunter%zz@h",
	    "redis://:hunter%00@h",
	    "redis://h:0",
	    "redis://h:65536",
	    "redis://h:123456789012",
	    "redis://h:",
	    "redis://h:6x",
	    "redis://[::1",
	    "redis://[::1]x",
	    "redis://a b",
	    "redis://:hunter2@h/x",
	    "redis://h/1/2",
	    "redis://h/-1",
	    "redis://h?db=1",
	    "redis://h,hunter",
	    "redis://h:1,h:2/0?cluster=no",
	    "redis://h,?cluster=yes",
	    "redis://,h?cluster=yes",
	    "redis://h,,g?cluster=yes",
	    "redis://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q?cluster=yes",
	    "redis://h/1?cluster=yes",
	    "redis://h?cluster=maybe-hunter",
	    "redis://h?cluster=",
	    "redis://h?cluster=yes&db=0",
	    "redis://h?cluster=yes#hunter",
	    "redis://h:1,h:0?cluster=yes",
	    "redis+sentinel://",
	    "redis+sentinel://h",
	    "redis+sentinel://h/",
	    "redis+sentinel://h//1",
	    "redis+sentinel:///hunter",
	    "redis+sentinel://h,/hunter",
	    "redis+sentinel://h/hunter/x",
	    "redis+sentinel://h/hunter/1/2",
	    "redis+sentinel://h/hunter%",
	    "redis+sentinel://h/hun%20ter",
	    "redis+sentinel://h/hunter?cluster=yes",
	    "redis+sentinel://h/m?sentinel_password=",
	    "redis+sentinel://h/m?sentinel_password=hunter%2",
	    "redis+sentinel://h/m?sentinel_password=hunter&db=1",
	    "redis+sentinel://h/m#hunter",
	    "redis+sentinel://hunter2@h/m",
	    "rediss+sentinel://:hunter2@h/m",
	    "redis://h#1",
	    "unix://",
	    "unix://relative",
	    "unix://rel/path",
	    "unix:///",
	    "unix:///a?x=1",
	    "unix:///a?db=",
	    "unix:///a?db=hunter2",
	    "unix:///123456789012345678901234567890123456789012345678901234567890123456789012345678901"
	    "23456789012345678901234567890",
	};
	struct redis_url url;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		enum sl_code code = parse(bad[i], &url);

		if (code != SL_INVALID) {
			printf("# accepted: %s\n", bad[i]);
			redis_url_fini(&url);
		}
		check_int(code, ==, SL_INVALID);
		check(url.place_count == 0 && url.path == NULL && url.password == NULL &&
		      url.master == NULL && url.sentinel_password == NULL);
	}
}

static void
tls_is_refused_with_a_remedy(void)
{
	struct redis_url url;
	struct sl_error error;

	check_int(redis_url_parse("rediss://h", &url, &error), ==, SL_INVALID);
	check(strstr(error.text, "TLS proxy") != NULL);
}

/* ---- routes ---- */

static redisReply *
reply_of(const char *resp)
{
	redisReader *reader = redisReaderCreate();
	void *reply = NULL;

	check_int(redisReaderFeed(reader, resp, strlen(resp)), ==, REDIS_OK);
	check_int(redisReaderGetReply(reader, &reply), ==, REDIS_OK);
	check(reply != NULL);
	redisReaderFree(reader);
	return reply;
}

static void
check_next(struct redis_route *route, const char *host, int port, bool is_sentinel)
{
	const struct redis_goal *goal = redis_route_next(route);

	check_text(goal->host, host);
	check_int(goal->port, ==, port);
	check(goal->is_sentinel == is_sentinel);
}

static void
a_cluster_is_asked_seed_by_seed_and_a_redirection_is_followed_once(void)
{
	static const char *const vague[] = {"MOVED 1 h",  "MOVED 1 h:0",    "MOVED 1 h:65536",
					    "MOVED 1 :x", "MOVED 1 h:70 1", "MOVED "};
	struct redis_route route;
	struct redis_url url;

	check_int(parse("redis://a:1,b:2?cluster=yes", &url), ==, SL_OK);
	redis_route_init(&route, &url);
	check_next(&route, "a", 1, false);
	check(redis_route_moved(&route, "MOVED 3999 10.0.0.9:6381"));
	check_next(&route, "10.0.0.9", 6381, false);
	check(redis_route_moved(&route, "MOVED 3999 :7000")); /* the host that answers */
	check_next(&route, "10.0.0.9", 7000, false);
	check(redis_route_moved(&route, "MOVED 3999 ::1:7001"));
	check_next(&route, "::1", 7001, false);
	check_next(&route, "b", 2, false);
	for (size_t i = 0; i < sizeof(vague) / sizeof(vague[0]); i++) {
		check(redis_route_moved(&route, vague[i]));
		check_next(&route, i % 2 == 0 ? "a" : "b", i % 2 == 0 ? 1 : 2, false);
	}
	check(!redis_route_moved(&route, "ASK 3999 10.0.0.9:6381"));
	check(!redis_route_moved(&route, "ERR MOVED 1 h:1"));
	check_next(&route, "a", 1, false);
	redis_url_fini(&url);
}

static void
a_clusters_nodes_are_remembered_once_each(void)
{
	static const char slots[] = "*3\r\n"
				    "*4\r\n:0\r\n:99\r\n"
				    "*3\r\n$1\r\na\r\n:1\r\n$2\r\nid\r\n"
				    "*3\r\n$1\r\nc\r\n:3\r\n$2\r\nid\r\n"
				    "*3\r\n:100\r\n:199\r\n*2\r\n$1\r\nc\r\n:3\r\n"
				    "*5\r\n:200\r\n:300\r\n"
				    "*2\r\n$-1\r\n:4\r\n*2\r\n$1\r\n?\r\n:5\r\n"
				    "*2\r\n$1\r\nd\r\n:99999\r\n";
	struct redis_route route;
	struct redis_url url;
	redisReply *reply;

	check_int(parse("redis://a:1?cluster=yes", &url), ==, SL_OK);
	redis_route_init(&route, &url);
	for (int i = 0; i < 2; i++) {
		reply = reply_of(slots);
		check_int(redis_route_nodes(&route, reply, NULL), ==, SL_OK);
		freeReplyObject(reply);
		check_int(route.node_count, ==, 1);
		check_next(&route, "a", 1, false);
		check_next(&route, "c", 3, false);
	}
	reply = reply_of("*0\r\n"); /* it knows nobody: we still do */
	check_int(redis_route_nodes(&route, reply, NULL), ==, SL_OK);
	freeReplyObject(reply);
	reply = reply_of("$2\r\nno\r\n");
	check_int(redis_route_nodes(&route, reply, NULL), ==, SL_INTERNAL);
	freeReplyObject(reply);
	check_int(route.node_count, ==, 1);
	redis_url_fini(&url);
}

static void
sentinels_are_asked_in_turn_before_each_visit_to_the_master(void)
{
	static const char *const odd[] = {"+m\r\n", "*1\r\n$1\r\nm\r\n", "*2\r\n$1\r\nm\r\n:1\r\n",
					  "*2\r\n$1\r\nm\r\n$2\r\n1x\r\n",
					  "*2\r\n$0\r\n\r\n$1\r\n1\r\n"};
	struct redis_route route;
	struct redis_url url;
	redisReply *reply;

	check_int(parse("redis+sentinel://s1,s2:7/m", &url), ==, SL_OK);
	redis_route_init(&route, &url);
	check_next(&route, "s1", 26379, true);
	reply = reply_of("*2\r\n$8\r\n10.0.0.9\r\n$4\r\n6381\r\n");
	check_int(redis_route_master(&route, reply, NULL), ==, SL_OK);
	freeReplyObject(reply);
	check_next(&route, "10.0.0.9", 6381, false);
	check_next(&route, "s2", 7, true);
	reply = reply_of("*-1\r\n");
	check_int(redis_route_master(&route, reply, NULL), ==, SL_NOT_FOUND);
	freeReplyObject(reply);
	check_next(&route, "s1", 26379, true);
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		reply = reply_of(odd[i]);
		check_int(redis_route_master(&route, reply, NULL), ==, SL_INTERNAL);
		freeReplyObject(reply);
	}
	check_next(&route, "s2", 7, true);
	check(!redis_route_moved(&route, "MOVED 1 h:1")); /* not in this mode */
	redis_url_fini(&url);
}

static void
errors_tell_a_server_to_leave_from_one_to_stay_with(void)
{
	static const char *const leave[] = {
	    "MOVED 1 h:1",
	    "ASK 1 h:1",
	    "TRYAGAIN Multiple keys request during rehashing of slot",
	    "CLUSTERDOWN The cluster is down",
	    "LOADING Redis is loading the dataset in memory",
	    "READONLY You can't write against a read only replica.",
	    "MASTERDOWN Link with MASTER is down",
	    "UNBLOCKED force unblock from blocking operation, instance state changed",
	    "ERR Script attempted to access a non local key in a cluster node script: x, on @y:1."};
	static const char *const stay[] = {"OOM command not allowed", "WRONGTYPE Operation",
					   "NOSCRIPT No matching script", "ERR MOVED", "BUSY x"};
	struct sl_error error;

	for (size_t i = 0; i < sizeof(leave) / sizeof(leave[0]); i++) {
		check(redis_reply_is_elsewhere(leave[i]));
		check_int(redis_reply_error(leave[i], &error), ==, SL_UNAVAILABLE);
		check(redis_reply_is_moving(leave[i]) == (i == 1 || i == 2 || i == 8));
	}
	for (size_t i = 0; i < sizeof(stay) / sizeof(stay[0]); i++)
		check(!redis_reply_is_elsewhere(stay[i]));
}

int
main(void)
{
	CHECK_RUN(url_of_a_host);
	CHECK_RUN(url_with_a_login);
	CHECK_RUN(url_of_a_unix_socket);
	CHECK_RUN(url_of_a_cluster);
	CHECK_RUN(url_of_sentinels);
	CHECK_RUN(bad_urls_are_refused_without_repeating_them);
	CHECK_RUN(tls_is_refused_with_a_remedy);
	CHECK_RUN(a_cluster_is_asked_seed_by_seed_and_a_redirection_is_followed_once);
	CHECK_RUN(a_clusters_nodes_are_remembered_once_each);
	CHECK_RUN(sentinels_are_asked_in_turn_before_each_visit_to_the_master);
	CHECK_RUN(errors_tell_a_server_to_leave_from_one_to_stay_with);
	return check_done();
}
