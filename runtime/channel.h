/* runtime/channel.h - the protocol between the daemon and sluice-runner, version 2.
 *
 * Frames as in base/frame.h (4 bytes length, msgpack array) over unix stream socketpairs.  JSON
 * travels as bin, never as msgpack trees.  Both ends check shape (frame_is) and order; the daemon
 * treats the runner as hostile.  Letters: i int, b bool, s bytes, ? anything.
 *
 * Control socket, daemon <-> root process (the zygote):
 *   MEMORY  [24]                 + one descriptor by SCM_RIGHTS: the memfd of the process that the next
 *                                FORK starts
 *   FORK    [20, tag, how]       + one descriptor: start a function process on it.  how 0: the memfd is
 *                                empty, and to be filled and sealed after LOAD; 1: it holds the heap
 *                                that a process of the same version froze, which this one takes over;
 *                                2: there is none, and its runs are forks, whatever the zygote was told
 *   FORKED  [21, tag, pid]       pid -1: fork failed; else + one descriptor: a pidfd of the process,
 *                                made before the zygote can reap it, so that a signal never meets
 *                                a recycled pid
 *   GONE    [22, pid, status, peak]  a function process ended: wait status, its memory at most in KiB
 *   HELLO   [23, version, text]  first frame of the zygote, after its sandbox self-check: protocol
 *                                version, engine and what else is there
 *
 * Function socket, daemon <-> one function process:
 *   LOAD    [1, version id, name, file name, code]   once, first; code is ES5 text
 *   LOADED  [11, ok, error json]
 *   RUN     [2, run id, kind, input json, context json, cpu limit ms]
 *   CALL    [12, run id, call id, op, meta json, body]
 *           the function asks for something; call id 0: no answer wanted, of the op log only (what
 *           nobody waits for is not counted against CALLS_OPEN_MAX)
 *   REPLY   [3, run id, call id, ok, meta json, body]
 *           the answer; ok false: meta is an error object
 *   DONE    [14, run id, ok, payload json]
 *           ok: the output ("" when undefined); else the error object
 *   DIED    [15, run id, reason, detail]
 *           of runs that are forks: the child ended without DONE; reason "signal" (detail: number),
 *           "memory", "cpu", "fatal", "exit" (detail: status, -1: fork failed).  Where the function
 *           process executes the run itself, such an end is its own, which GONE tells with the same
 *           statuses and signals.
 * After DONE or DIED the process takes the next RUN.  Runs never overlap on one socket.
 *
 * kind: "action", "sync", "webhook", "event".
 * context json: {"environmentName","environmentId","connectionId","providerConfigKey","provider",
 *   "functionName","jobId","attempt","nangoConnectionId","loggerLevel","variant"}; of syncs and
 *   webhooks also "syncId","lastSyncDate","trackDeletes","emptyCache".
 *
 * Ops of CALL (meta -> reply meta; body -> reply body):
 *   http                   {method,endpoint,headers,params,retries,retryOn,baseUrlOverride,decompress,
 *                          responseType,forwardHeadersOnRedirect,providerConfigKey,connectionId,
 *                          retryHeader}; body: request bytes (the SDK sets content-type)
 *                          -> {status,statusText,headers}; body: response bytes.  Any status is
 *                          ok=true; ok=false is {code:"ECONNREFUSED",message} for transport failures,
 *                          {code:"script_aborted"|..,message} for refusals
 *   connection             {providerConfigKey?,connectionId?,..} -> F of wire.md 5.1
 *   integration            likewise -> I of wire.md 6.1
 *   paginate_defaults      {providerConfigKey} -> the provider's paginate block
 *   metadata_set           {providerConfigKey,connectionId,metadata} -> {status,data}
 *   metadata_update        likewise
 *   environment_variables  {} -> [{name,value}]
 *   get_flow_attributes    {} -> the attributes of the function's definition
 *   log                    {level,message,meta?}; call id may be 0
 *   fetch                  {url,method,headers}; body: request bytes
 *                          -> {status,statusText,headers,url,redirected}; body: response bytes.
 *                          ok=false: "url_not_allowed", or a transport failure as of http
 *   trigger_action         {providerConfigKey,connectionId,actionName,input?} -> its output.
 *                          ok=false {code,message,status,body}: what the API would have answered
 *   trigger_sync           {providerConfigKey,connectionId,sync,options?} -> started: true|false;
 *                          sync: name, "name::variant" or {name,variant}; options: {reset,emptyCache},
 *                          a sync_mode or true; failures as trigger_action
 *   start_sync             always ok=false "unsupported"
 *   try_acquire_lock       {key,ttlMs} -> true|false
 *   release_lock           {key} -> true|false
 *   release_all_locks      {} -> null
 *   get_checkpoint         {} -> object|null
 *   save_checkpoint        {checkpoint} -> checkpoint; ok=false "checkpoint_conflict"
 *   clear_checkpoint       {} -> null; likewise
 * Of syncs and webhooks only; model is a name of the sync's definition where it is written:
 *   batch_save             {model}; body: [record] -> true
 *   batch_update, batch_delete  likewise
 *   get_records_by_ids     {model,ids} -> body: [record with metadata]
 *   list_records           {model,cursor?} -> body: {records,next_cursor}
 *   track_deletes_start    {model} -> null
 *   track_deletes_end      {model} -> {deletedKeys}
 *   delete_records_from_previous_executions  {model} -> {deletedKeys}
 *   set_merging_strategy   {model,strategy} -> null
 * Unknown op: ok=false {code:"unsupported",message}.
 *
 * Error object of DONE: the `error` member of the HTTP answer, wire.md 2.1, e.g.
 *   {"code":"action_script_runtime_error","message":..,"payload":{..}}. */
#ifndef SLUICE_RUNTIME_CHANNEL_H
#define SLUICE_RUNTIME_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/frame.h"

#define RUNNER_PROTOCOL 3
#define RUNNER_FRAME_MAX (64u << 20) /* bytes of one frame, both ways */

enum runner_frame {
	RUNNER_LOAD = 1,
	RUNNER_RUN = 2,
	RUNNER_REPLY = 3,
	RUNNER_LOADED = 11,
	RUNNER_CALL = 12,
	RUNNER_DONE = 14,
	RUNNER_DIED = 15,
	RUNNER_FORK = 20,
	RUNNER_FORKED = 21,
	RUNNER_GONE = 22,
	RUNNER_HELLO = 23,
	RUNNER_MEMORY = 24,
};

/* How a function process starts: see FORK. */
enum runner_fork {
	RUNNER_FORK_LOAD = 0,
	RUNNER_FORK_ADOPT = 1,
	RUNNER_FORK_RUNS = 2,
};

/* Exit statuses of function processes and of runs, as in DIED and GONE. */
enum runner_exit {
	RUNNER_EXIT_OK = 0,
	RUNNER_EXIT_MEMORY = 70,   /* heap limit */
	RUNNER_EXIT_FATAL = 71,    /* the engine's fatal error handler */
	RUNNER_EXIT_PROTOCOL = 72, /* the daemon sent something unexpected, or the socket failed */
	RUNNER_EXIT_SETUP = 73,    /* limits or sandbox could not be put in place */
	RUNNER_EXIT_FREEZE =
	    74, /* before LOADED: the heap cannot be frozen; forks may still work */
};

/* What a function process may send now.  Without a run and not loading: nothing. */
struct runner_expect {
	bool loading;      /* LOADED has not come yet */
	int64_t run_id;    /* 0: no run */
	int64_t last_call; /* the highest call id so far; the next is higher, or 0 for no answer */
};

/* Judges a frame from a function process, or from the zygote; false: *why says what is wrong
 * with it, and its sender is to be killed.  No state, so that it can be fuzzed. */
bool runner_frame_ok(const struct runner_expect *expect, const struct frame *frame,
		     const char **why);
bool runner_control_ok(bool up, const struct frame *frame, const char **why);

/* The daemon's end of one socket: whole frames, never blocking. */
struct loop;
struct channel; /* opaque */
struct channel_events {
	/* A well-formed frame, borrowed for the call; may free the channel. */
	void (*on_frame)(void *arg, const struct frame *frame);
	/* Once and last, unless freed before: the peer closed, the socket failed, or its bytes are
	 * no frames; why is for humans.  May free the channel. */
	void (*on_end)(void *arg, const char *why);
	/* Output fell to CHANNEL_OUT_LOW after it had been above.  May be NULL. */
	void (*on_drain)(void *arg);
};

#define CHANNEL_OUT_LOW \
	(16u << 20)                /* bytes waiting; above, the owner should stop asking for more */
#define CHANNEL_OUT_MAX (1u << 30) /* bytes waiting; beyond, the channel ends */

/* Owns fd, which is made non-blocking.  descriptors: the peer is trusted to pass some. */
struct channel *channel_new(struct loop *loop, int fd, bool descriptors,
			    const struct channel_events *events, void *arg);
void channel_free(struct channel *channel); /* closes; NULL is fine */
/* Where frames are written (frame_begin), to be sent by channel_flush(). */
struct buf *channel_out(struct channel *channel);
void channel_flush(struct channel *channel); /* reports nothing: failures come by on_end later */
size_t channel_waiting(const struct channel *channel); /* bytes not sent yet */
/* Paused: nothing is read, and frames that were read already wait. */
void channel_pause(struct channel *channel, bool paused);
/* Reads and reports what has arrived by now. */
void channel_catch_up(struct channel *channel);
/* Sends a small frame with a copy of fd along, now or not at all; not with channel_flush().  1:
 * sent; 0: the peer is gone (on_end follows); -1: its socket is full. */
int channel_send_descriptor(struct channel *channel, struct slice frame, int fd);
int channel_take_descriptor(struct channel *channel); /* now the caller's; -1: none */

#endif
