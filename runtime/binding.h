/* runtime/binding.h - the line between the JavaScript of the prelude and the C of the runner.
 *
 * The prelude is one script.  Before it is evaluated the runner defines a global `__host`; the
 * prelude keeps it in a closure and deletes the global.  Strings crossing here are Duktape strings
 * (CESU-8 inside); every C side converts to and from UTF-8 (lone surrogates become U+FFFD, but a
 * JSON payload keeps them as \udXXX escapes, as JSON.stringify does in Node).  "bytes" are
 * Uint8Array or plain buffers.
 *
 *   __host.call(callId, op, metaText, body)  send CALL; body: bytes, text or undefined
 *   __host.done(ok, payloadText)             the run is over; nothing may follow
 *   __host.timer(id, ms)                     call __sluice.timer(id) after ms (>= 0)
 *   __host.timerClear(id)
 *   __host.random(n) -> bytes                getrandom
 *   __host.hash(alg, bytes) -> bytes         md5 sha1 sha256 sha512 (OpenSSL)
 *   __host.hmac(alg, key, bytes) -> bytes
 *   __host.equal(a, b) -> boolean            constant time; false when lengths differ
 *   __host.utf8Encode(text) -> bytes
 *   __host.utf8Decode(bytes) -> text         invalid: U+FFFD
 *   __host.base64(bytes, urlSafe) -> text
 *   __host.base64Decode(text) -> bytes       either alphabet; skips junk, stops at padding
 *   __host.hex(bytes) -> text
 *   __host.hexDecode(text) -> bytes
 *   __host.collate(a, b, level, numeric) -> number
 *                                            the order of two texts; level: 0 base, 1 accent, 2 case,
 *                                            3 variant (runtime/unicode.h)
 *   __host.normalize(text, form) -> text     form: 0 NFC, 1 NFD, 2 NFKC, 3 NFKD
 *   __host.changeCase(text, upper, language) -> text
 *   __host.escapeLone(text) -> text          each lone surrogate as \udXXX
 *   __host.zoneOffset(zone, ms) -> number    ms ahead of UTC; NaN: no such zone
 *   __host.inflate(bytes, size) -> bytes     raw DEFLATE (RFC 1951) of that size; it throws for another
 *   __host.Number, parseFloat, parseInt, toString, toFixed, round, cbrt
 *                                            take the place of the engine's (runtime/number.h)
 *
 * The prelude defines a global `__sluice` (not enumerable) that the runner calls, and user code
 * cannot reach (the runner takes the reference and deletes the global):
 *   load(codeText, fileName, functionName, kindHint|undefined)  evaluate the module; may throw
 *   run(kind, inputText, contextText)           start the run ("" input: undefined)
 *   reply(callId, ok, metaText, bodyBytes)      settle one call
 *   timer(id)                                   fire one timer
 *   drain()                                     run promise jobs until none is left
 *   idle() -> boolean                           true: the run has not ended and nothing can ever
 *                                               settle it (no jobs, no timers, no calls in flight)
 *   deadlock()                                  end the run with script_internal_error, message
 *                                               naming "deadlock"
 * After each of run/reply/timer the runner calls drain(), then, unless done was called, waits for the
 * next frame or timer; when idle() is true it calls deadlock(). */
#ifndef SLUICE_RUNTIME_BINDING_H
#define SLUICE_RUNTIME_BINDING_H

#include <duktape.h>

struct runner; /* of runner_main: sends frames, keeps timers */

/* Defines __host on the global object of ctx; runner is borrowed for the heap's life. */
void binding_install(duk_context *ctx, struct runner *runner);

#endif
