#include "queue/redis_login.h"

#include <string.h>

#include <hiredis/hiredis.h>

#include "base/log.h"
#include "queue/redis.h"
#include "queue/redis_reply.h"

/* Sends the words; each answer is counted. */
static void
say(struct redis_login *login, struct redis_args *args, redis_reply_cb *cb)
{
	login->left++;
	redis_send_setup(login->redis, args, cb, login);
	redis_args_fini(args);
}

static void
answered(struct redis_login *login)
{
	if (--login->left == 0)
		redis_logged_in(login->redis);
}

static void
on_status(void *arg, redisReply *reply, const struct sl_error *error)
{
	struct redis_login *login = arg;
	struct sl_error why;

	if (error != NULL) {
		redis_drop(login->redis, error);
	} else if (reply->type != REDIS_REPLY_STATUS) {
		redis_unexpected(&why, "AUTH or SELECT", "a status", reply);
		redis_drop(login->redis, &why);
	} else {
		answered(login);
	}
}

static void
say_auth(struct redis_login *login, const char *user, const char *password)
{
	struct redis_args args;

	if (password == NULL)
		return;
	redis_args_init(&args);
	redis_args_text(&args, "AUTH");
	if (user != NULL)
		redis_args_text(&args, user);
	redis_args_kept(&args, slice_text(password));
	say(login, &args, on_status);
}

static void
say_words(struct redis_login *login, const char *first, const char *second, const char *third,
	  redis_reply_cb *cb)
{
	struct redis_args args;

	redis_args_init(&args);
	redis_args_text(&args, first);
	if (second != NULL)
		redis_args_text(&args, second);
	if (third != NULL)
		redis_args_text(&args, third);
	say(login, &args, cb);
}

/* ---- sentinels ---- */

static void
on_master(void *arg, redisReply *reply, const struct sl_error *error)
{
	struct redis_login *login = arg;
	struct sl_error why;

	if (error != NULL)
		redis_drop(login->redis, error);
	else if (redis_route_master(login->route, reply, &why) != SL_OK)
		redis_drop(login->redis, &why);
	else
		redis_follow(login->redis);
}

/* A sentinel can be behind, and a master that came back is one until the sentinels see it. */
static void
on_role(void *arg, redisReply *reply, const struct sl_error *error)
{
	struct redis_login *login = arg;
	struct sl_error why;

	if (error != NULL) {
		redis_drop(login->redis, error);
	} else if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 ||
		   reply->element[0]->type != REDIS_REPLY_STRING) {
		redis_unexpected(&why, "ROLE", "a role", reply);
		redis_drop(login->redis, &why);
	} else if (strcmp(reply->element[0]->str, "master") != 0) {
		sl_fail(&why, SL_UNAVAILABLE,
			"the server that a sentinel named as master is not one");
		redis_drop(login->redis, &why);
	} else {
		answered(login);
	}
}

/* ---- cluster ---- */

/* Where else to ask one day; which node has the slot is decided by the key itself. */
static void
on_slots(void *arg, redisReply *reply, const struct sl_error *error)
{
	struct redis_login *login = arg;
	struct sl_error why;

	if (error != NULL && strstr(error->text, "cluster support disabled") != NULL) {
		sl_fail(&why, SL_UNAVAILABLE,
			"redis_url says cluster=yes, but this Redis is no node of a cluster");
		redis_drop(login->redis, &why);
		return;
	}
	if (error == NULL && redis_route_nodes(login->route, reply, &why) != SL_OK)
		error = &why;
	if (error != NULL)
		log_debug("redis_nodes_unknown", "error=%s", log_text(error->text));
	answered(login);
}

/* Another node's slot is an error, after which redis.c goes there. */
static void
on_key(void *arg, redisReply *reply, const struct sl_error *error)
{
	struct redis_login *login = arg;
	struct sl_error why;

	if (error != NULL) {
		redis_drop(login->redis, error);
	} else if (reply->type != REDIS_REPLY_INTEGER) {
		redis_unexpected(&why, "EXISTS", "an integer", reply);
		redis_drop(login->redis, &why);
	} else {
		answered(login);
	}
}

void
redis_login_start(struct redis_login *login)
{
	const struct redis_url *url = login->route->url;
	struct redis_args args;

	login->left = 1; /* ours: nothing is done before all is sent */
	if (url->path == NULL && login->route->goal.is_sentinel) {
		say_auth(login, NULL, url->sentinel_password);
		say_words(login, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", url->master, on_master);
		return;
	}
	say_auth(login, url->user, url->password);
	if (url->db != 0) {
		redis_args_init(&args);
		redis_args_text(&args, "SELECT");
		redis_args_int(&args, url->db);
		say(login, &args, on_status);
	}
	switch (url->mode) {
	case REDIS_SINGLE:
		break;
	case REDIS_CLUSTER:
		say_words(login, "CLUSTER", "SLOTS", NULL, on_slots);
		say_words(login, "EXISTS", login->key, NULL, on_key);
		break;
	case REDIS_SENTINEL:
		say_words(login, "ROLE", NULL, NULL, on_role);
		break;
	}
	answered(login);
}
