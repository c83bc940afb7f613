/* http/head.h - the head of one request: a gate on its raw bytes, then request line and fields.
 *
 * RFC 9110, RFC 9112, with no leniency: what two parsers could read differently is refused.  The
 * gate looks at each byte once and before anything else does, so its verdict does not depend on how
 * the bytes were cut into packets, and garbage is refused before the head is complete. */
#ifndef SLUICE_HTTP_HEAD_H
#define SLUICE_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/refusal.h"

enum {
	HEAD_BYTES_MAX = 32 * 1024, /* request line and fields with all line ends */
	HEAD_LINE_MAX = 8 * 1024,   /* request line */
	HEAD_FIELDS_MAX = 100,
	HEAD_EMPTY_LINES_MAX = 2, /* before the request line (RFC 9112 section 2.2) */
};

enum head_progress { HEAD_MORE, HEAD_WHOLE, HEAD_REFUSED };

enum head_gate_state {
	GATE_LEAD,       /* nothing but empty lines so far */
	GATE_LEAD_CR,    /* CR of an empty line before the request line */
	GATE_LINE,       /* inside a line */
	GATE_LINE_CR,    /* its CR came */
	GATE_LINE_START, /* after CRLF: another line or the end */
	GATE_LAST_CR,    /* CR of the empty line that ends the head */
};

struct head_gate {
	enum head_gate_state state;
	size_t seen;  /* bytes looked at; all of the head when HEAD_WHOLE */
	size_t start; /* where the request line starts */
	int empty_lines;
	int lines; /* complete ones, request line included */
};

void head_gate_init(struct head_gate *gate);
/* bytes: all that came since the last request, len of them, also those seen before. */
enum head_progress head_gate(struct head_gate *gate, const char *bytes, size_t len,
			     struct http_refusal *refusal);

enum head_body { HEAD_BODY_NONE, HEAD_BODY_LENGTH, HEAD_BODY_CHUNKED };

struct head_field {
	const char *name;  /* as sent */
	const char *value; /* without surrounding blanks */
	bool tabbed;       /* a tab stood in or around the value */
};

struct head {
	char *bytes; /* owned; all below points into it, texts are NUL-terminated */
	const char *method;
	struct slice target;       /* as sent */
	struct slice path;         /* of the target, before '?' */
	struct slice query;        /* after '?' */
	int minor;                 /* HTTP/1.minor */
	struct head_field *fields; /* owned */
	int field_count;
	enum head_body body;
	int64_t length;        /* HEAD_BODY_LENGTH: more than 0 */
	bool keep_alive;       /* what version and Connection say */
	bool expects_continue; /* Expect: 100-continue */
	bool encoded;          /* Content-Encoding other than identity */
};

/* Takes a head that passed the gate (bytes from gate.start to gate.seen).  False: refused, refusal
 * says why.  head must be given to head_fini in either case. */
bool head_parse(struct head *head, const char *bytes, size_t len, struct http_refusal *refusal);
void head_fini(struct head *head);

/* The methods we answer, as in an Allow field. */
#define HEAD_METHODS "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

#endif
