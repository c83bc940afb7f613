/* daemon/compiler.c - JSON lines to and from compiler/bin/worker.mjs; one request in work at a
 * time. */
#include "daemon/compiler.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/user.h"

#define LINE_MAX_BYTES (256 << 20)
#define USES_MAX 2000 /* a fresh worker after so many: leaks stay small */

struct request {
	struct request *next;
	int64_t id;
	bool again;      /* a worker that had served others died on it */
	struct buf line; /* what is sent */
	compiler_cb *cb;
	void *arg;
};

/* STOPPED -> RUNNING -> STOPPED; a request is in work only in RUNNING. */
enum compiler_state { COMPILER_STOPPED, COMPILER_RUNNING };

struct compiler {
	struct daemon *daemon;
	char *directory;
	struct user user; /* as whom the worker runs */
	enum compiler_state state;
	pid_t pid;
	int fd; /* one socket for both ways */
	struct loop_watch *watch;
	struct loop_timer *timer;
	struct buf in;
	size_t sent; /* bytes of the first request's line */
	size_t scanned;
	int64_t next_id;
	int uses;
	struct request *first, **last;
};

static void pump(struct compiler *compiler);

/* The program that a name without '/' means, as execvp() finds it; malloc'd, NULL: none. */
static char *
find_in_path(const char *name)
{
	char *path = sl_strdup(getenv("PATH") != NULL ? getenv("PATH") : "/usr/bin:/bin"),
	     *rest = path, *folder, *real = NULL;

	while (real == NULL && (folder = strtok_r(rest, ":", &rest)) != NULL) {
		char *file = sl_asprintf("%s/%s", folder, name);

		if (access(file, X_OK) == 0)
			real = realpath(file, NULL);
		free(file);
	}
	free(path);
	return real;
}

/* The worker's user must be able to walk to Node.js, too (a home directory of root's may hold it).
 */
static void
check_node(struct compiler *compiler, const char *node)
{
	char *real = strchr(node, '/') == NULL ? find_in_path(node) : NULL;

	if (real != NULL)
		(void)user_check_path(&compiler->user, real);
	free(real);
}

enum sl_code
compiler_is_there(const struct compiler *compiler, struct sl_error *error)
{
	const char *node = config_text(compiler->daemon->config, "node_path");
	char *file = sl_asprintf("%s/bin/worker.mjs", compiler->directory), *real = NULL;
	bool has_node, has_compiler = access(file, R_OK) == 0;

	if (strchr(node, '/') == NULL)
		real = find_in_path(node);
	has_node = real != NULL || (strchr(node, '/') != NULL && access(node, X_OK) == 0);
	free(real);
	free(file);
	if (!has_node)
		return sl_fail(error, SL_UNAVAILABLE,
			       "Node.js (%s, setting node_path) is not found", node);
	if (!has_compiler)
		return sl_fail(error, SL_UNAVAILABLE, "there is no compiler in %s",
			       compiler->directory);
	return SL_OK;
}

struct compiler *
compiler_new(struct daemon *daemon, const char *directory)
{
	struct compiler *compiler = sl_alloc(sizeof(*compiler));
	struct sl_error error;

	compiler->daemon = daemon;
	compiler->directory = sl_strdup(directory);
	compiler->fd = -1;
	compiler->last = &compiler->first;
	if (user_find(&compiler->user, &error) != SL_OK)
		log_warn("compiler_user", "error=%s", log_text(error.text));
	(void)user_check_path(&compiler->user, directory);
	check_node(compiler, config_text(daemon->config, "node_path"));
	buf_init(&compiler->in, LINE_MAX_BYTES);
	return compiler;
}

/* The worker runs code that a customer sent through TypeScript's parser only, but is killed hard
 * all the same. */
static void
stop(struct compiler *compiler)
{
	if (compiler->state == COMPILER_STOPPED)
		return;
	compiler->state = COMPILER_STOPPED;
	loop_watch_free(compiler->watch);
	compiler->watch = NULL;
	close(compiler->fd);
	compiler->fd = -1;
	kill(compiler->pid, SIGKILL);
	while (waitpid(compiler->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	buf_clear(&compiler->in);
	compiler->scanned = compiler->sent = 0;
	compiler->uses = 0;
}

static struct request *
take_first(struct compiler *compiler)
{
	struct request *request = compiler->first;

	compiler->first = request->next;
	if (compiler->first == NULL)
		compiler->last = &compiler->first;
	compiler->sent = 0;
	loop_timer_stop(compiler->timer);
	return request;
}

static void
fail_first(struct compiler *compiler, enum sl_code code, const char *text)
{
	struct request *request = take_first(compiler);
	struct sl_error error;

	sl_fail(&error, code, "%s", text);
	request->cb(request->arg, code, NULL, &error);
	buf_fini(&request->line);
	free(request);
}

void
compiler_free(struct compiler *compiler)
{
	if (compiler == NULL)
		return;
	stop(compiler);
	while (compiler->first != NULL)
		fail_first(compiler, SL_UNAVAILABLE, "this node is shutting down");
	loop_timer_free(compiler->timer);
	buf_fini(&compiler->in);
	free(compiler->directory);
	free(compiler);
}

static void
answer_first(struct compiler *compiler, struct json_value line)
{
	struct request *request = take_first(compiler);
	struct json_value error = json_get(line, "error");
	char *code = json_text(json_get(line, "code"), NULL);
	char *message = json_text(json_get(error, "message"), NULL);
	char *file = json_text(json_get(error, "file"), NULL);
	int64_t at_line = 0, at_column = 0;
	struct sl_error failed;

	if (json_is_yes(json_get(line, "ok")) && code != NULL) {
		request->cb(request->arg, SL_OK, code, NULL);
	} else {
		(void)json_int(json_get(error, "line"), &at_line);
		(void)json_int(json_get(error, "column"), &at_column);
		if (at_line > 0)
			sl_fail(&failed, SL_INVALID, "%s (%s%sline %lld, column %lld)",
				message != NULL ? message : "cannot be compiled",
				file != NULL ? file : "", file != NULL ? ", " : "",
				(long long)at_line, (long long)at_column);
		else
			sl_fail(&failed, SL_INVALID, "%s",
				message != NULL ? message : "cannot be compiled");
		request->cb(request->arg, SL_INVALID, NULL, &failed);
	}
	free(code);
	free(message);
	free(file);
	buf_fini(&request->line);
	free(request);
}

static void
on_line(struct compiler *compiler, struct slice text)
{
	struct json_value line;
	int64_t id = 0;
	bool grown;

	if (json_check(text, &line, NULL) != SL_OK || line.type != JSON_OBJECT_)
		return; /* a warning of Node's */
	/* Its start is not the source's time. */
	if (json_is_yes(json_get(line, "ready")) && compiler->sent > 0)
		loop_timer_in(compiler->timer,
			      config_int(compiler->daemon->config, "compile_timeout"));
	if (!json_int(json_get(line, "id"), &id) || compiler->first == NULL ||
	    id != compiler->first->id)
		return; /* `ready`, or an answer that came after its timeout */
	grown = json_is_yes(json_get(line, "retire"));
	answer_first(compiler, line);
	if (grown)
		log_info("compiler_retired", "uses=%d", compiler->uses + 1);
	if (++compiler->uses >= USES_MAX || grown)
		stop(compiler);
}

static void
lost(struct compiler *compiler, const char *why)
{
	bool at_work = compiler->sent > 0, used = compiler->uses > 0;

	log_warn("compiler_lost", "reason=%s", why);
	stop(compiler);
	/* Only a fresh worker proves that the source is at fault. */
	if (compiler->first != NULL && at_work && used && !compiler->first->again)
		compiler->first->again = true;
	else if (compiler->first != NULL && at_work)
		fail_first(
		    compiler, SL_INVALID,
		    "the compiler died on this source (too large or too deep for its limits)");
	else if (compiler->first != NULL)
		fail_first(
		    compiler, SL_UNAVAILABLE,
		    "the compiler cannot be started: it needs Node.js 18 or newer (node_path) and its packages "
		    "(npm ci in compiler_dir)");
	pump(compiler);
}

static void
read_some(struct compiler *compiler)
{
	for (;;) {
		ssize_t got;
		char *newline;

		if (!buf_reserve(&compiler->in, 65536)) {
			lost(compiler, "answer too long");
			return;
		}
		got = read(compiler->fd, compiler->in.data + compiler->in.len, 65536);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			lost(compiler, "exited");
			return;
		}
		compiler->in.len += (size_t)got;
		while (compiler->state == COMPILER_RUNNING &&
		       (newline = memchr(compiler->in.data + compiler->scanned, '\n',
					 compiler->in.len - compiler->scanned)) != NULL) {
			size_t len = (size_t)(newline - compiler->in.data);

			on_line(compiler, (struct slice){compiler->in.data, len});
			if (compiler->state != COMPILER_RUNNING)
				break;
			buf_consume(&compiler->in, len + 1);
			compiler->scanned = 0;
		}
		if (compiler->state != COMPILER_RUNNING) {
			pump(compiler);
			return;
		}
		compiler->scanned = compiler->in.len;
	}
}

static void
on_watch(void *arg, int what)
{
	struct compiler *compiler = arg;

	if ((what & LOOP_READ) != 0)
		read_some(compiler);
	if (compiler->state == COMPILER_RUNNING)
		pump(compiler);
}

static void
on_timeout(void *arg)
{
	struct compiler *compiler = arg;

	log_warn("compiler_timeout", "limit_ms=%lld",
		 (long long)config_int(compiler->daemon->config, "compile_timeout"));
	stop(compiler);
	if (compiler->first != NULL)
		fail_first(compiler, SL_INVALID, "compiling took longer than compile_timeout");
	pump(compiler);
}

/* In the child, between fork and exec. */
static void
become_worker(const struct compiler *compiler, int fd, char *const argv[], char *const envp[])
{
	struct sigaction fresh = {.sa_handler = SIG_DFL};

	(void)setsid(); /* a Ctrl-C in our terminal is ours to handle */
	(void)sigaction(SIGPIPE, &fresh, NULL);
	(void)sigaction(SIGHUP, &fresh, NULL);
	if (!user_become(&compiler->user) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || dup2(fd, 0) < 0 || dup2(fd, 1) < 0 ||
	    chdir("/") != 0)
		_exit(126);
	execvpe(argv[0], argv, envp);
	_exit(127);
}

static bool
start(struct compiler *compiler)
{
	char *path = sl_asprintf("%s/bin/worker.mjs", compiler->directory);
	char memory[64], home[] = "HOME=/nonexistent", search[4096];
	char *node = sl_strdup(config_text(compiler->daemon->config, "node_path"));
	char *argv[] = {node, memory, path, NULL};
	char *envp[] = {search, home, NULL};
	int pair[2];
	bool ok;

	snprintf(memory, sizeof(memory), "--max-old-space-size=%lld",
		 (long long)(config_int(compiler->daemon->config, "compile_memory") >> 20));
	snprintf(search, sizeof(search), "PATH=%s",
		 getenv("PATH") != NULL ? getenv("PATH") : "/usr/bin:/bin");
	ok = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0;
	if (ok) {
		/* Node wants blocking standard streams. */
		(void)fcntl(pair[1], F_SETFL, fcntl(pair[1], F_GETFL) & ~O_NONBLOCK);
		compiler->pid = fork();
		if (compiler->pid == 0)
			become_worker(compiler, pair[1], argv, envp);
		close(pair[1]);
		ok = compiler->pid > 0;
		if (!ok)
			close(pair[0]);
	}
	free(path);
	free(node);
	if (!ok) {
		log_error("compiler_not_started", "error=%s", strerror(errno));
		return false;
	}
	compiler->fd = pair[0];
	compiler->state = COMPILER_RUNNING;
	compiler->watch = loop_watch_new(compiler->daemon->loop, compiler->fd, on_watch, compiler);
	loop_watch_set(compiler->watch, LOOP_READ);
	return true;
}

/* Sends as much of the first request as the socket takes. */
static void
pump(struct compiler *compiler)
{
	struct request *request = compiler->first;

	if (request == NULL)
		return;
	if (compiler->state == COMPILER_STOPPED && !start(compiler)) {
		fail_first(compiler, SL_UNAVAILABLE,
			   "Node.js cannot be started; set node_path to Node.js 18 or newer");
		pump(compiler);
		return;
	}
	if (compiler->sent == 0)
		loop_timer_in(compiler->timer,
			      config_int(compiler->daemon->config, "compile_timeout"));
	while (compiler->sent < request->line.len) {
		ssize_t put = send(compiler->fd, request->line.data + compiler->sent,
				   request->line.len - compiler->sent, MSG_NOSIGNAL);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0) /* a dead worker shows as end of file too */
			break;
		compiler->sent += (size_t)put;
	}
	loop_watch_set(compiler->watch,
		       LOOP_READ | (compiler->sent < request->line.len ? LOOP_WRITE : 0));
}

static void
pump_soon(void *arg)
{
	pump(arg);
}

void
compiler_lower(struct compiler *compiler, const char *js, const char *ts, const char *name,
	       const char *integration, const char *type, compiler_cb *cb, void *arg)
{
	struct request *request = sl_alloc(sizeof(*request));
	struct json_writer w;

	if (compiler->timer == NULL)
		compiler->timer = loop_timer_new(compiler->daemon->loop, on_timeout, compiler);
	request->id = ++compiler->next_id;
	request->cb = cb;
	request->arg = arg;
	buf_init(&request->line, LINE_MAX_BYTES);
	jw_init(&w, &request->line);
	jw_object(&w);
	jw_member_int(&w, "id", request->id);
	jw_member_text(&w, "op", "lower");
	jw_member_text(&w, "name", name);
	jw_member_text(&w, "integration", integration);
	jw_member_text(&w, "type", type);
	jw_member_text(&w, "js", js);
	if (ts != NULL)
		jw_member_text(&w, "ts", ts);
	jw_object_end(&w);
	buf_add_char(&request->line, '\n');
	*compiler->last = request;
	compiler->last = &request->next;
	loop_soon(compiler->daemon->loop, pump_soon, compiler);
}
