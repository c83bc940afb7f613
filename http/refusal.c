#include "http/refusal.h"

#include <stdarg.h>
#include <stdio.h>

bool
http_refusal_set(struct http_refusal *refusal, int status, const char *code, const char *format,
		 ...)
{
	va_list args;

	refusal->status = status;
	refusal->code = code;
	va_start(args, format);
	vsnprintf(refusal->text, sizeof(refusal->text), format, args);
	va_end(args);
	return false;
}
